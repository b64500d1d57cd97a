"""JUnit XML: a suite for each trial, a case for each check, as CI systems read it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from evals.reports.dossier import Dossier, Side, checks_of
from evals.reports.terminal import printable
from evals.store import Trial


def document(dossier: Dossier) -> bytes:
    """The whole file. Faults are errors, which are no failures; a revision, task, epoch and check name each case."""
    root = ET.Element("testsuites", name=_text(dossier.title))
    for side in dossier.sides:
        for trial in side.trials:
            root.append(_suite(side, trial))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def _text(text: str) -> str:
    """Text without what XML cannot hold."""
    kept = printable(text).encode("utf-8", "replace").decode()
    return "".join(char for char in kept if char not in "\ufffe\uffff")


def _suite(side: Side, trial: Trial) -> ET.Element:
    key = trial.key
    name = f"{side.label} / {key.task} / {key.stack} / epoch {key.epoch}"
    checks = checks_of(trial)
    failed = [check for check in checks if check["outcome"] != "passed"]
    suite = ET.Element(
        "testsuite",
        name=_text(name),
        id=str(trial.document["id"]),
        tests=str(len(checks) or 1),
        failures=str(len(failed)),
        errors="1" if trial.fault else "0",
        timestamp=str(trial.document["started_at"]),
        time=f"{sum(trial.document['timings'].values()):.3f}",
    )
    _properties(suite, trial)
    if trial.fault is not None:
        case = ET.SubElement(suite, "testcase", classname=_text(name), name=f"{trial.fault['stage']} (fault)")
        ET.SubElement(case, "error", message=_text(trial.fault["reason"]), type="fault")
    for check in checks:
        case = ET.SubElement(
            suite, "testcase", classname=_text(name), name=_text(check["id"]), time=f"{check['seconds']:.3f}"
        )
        if check["outcome"] != "passed":
            failure = ET.SubElement(case, "failure", message=_text(check["sentence"]), type=_text(check["dimension"]))
            failure.text = _text(f"{check['outcome']}\nexpected: {check['expected']}\ncame: {check['came']}")
    return suite


def _properties(suite: ET.Element, trial: Trial) -> None:
    key = trial.key
    values = {
        "agent": key.agent,
        "variant": key.variant,
        "revision": key.revision,
        "task": key.task,
        "stack": key.stack,
        "solver": key.solver,
        "model": key.model,
        "epoch": key.epoch,
        "composite": trial.document["composite"],
        "cost_usd": trial.cost_usd,
    }
    found = ET.SubElement(suite, "properties")
    for name, value in values.items():
        if value is not None:
            ET.SubElement(found, "property", name=name, value=_text(str(value)))
