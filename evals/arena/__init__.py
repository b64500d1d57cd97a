"""What runs inside a sandbox: the supervisor, its helpers, and the kit that acceptance checks use.

Nothing here imports the rest of `evals`, and nothing of the rest imports this package: it is mounted
into the sandbox and started there. The supervisor and its helpers need only the standard library
(the mail sink also aiosmtpd).
"""
