// Serves fixtures from a file on a free port of loopback, and says where.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0 });
mock.loadFixtureFile(process.argv[2]);
await mock.start();
console.log(mock.url);
