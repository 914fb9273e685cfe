"""What the Python SDK can do with a server, done at ADDRESS with TOKEN; MODEL is the URL of the test model.

    python features.py ADDRESS TOKEN MODEL

Prints one JSON object with the outcome of each feature: "ok", or what went wrong.
"""

import asyncio
import json
import sys
import urllib.parse
import urllib.request
import uuid

from copilot import CopilotClient, RuntimeConnection
from copilot.generated.rpc import PermissionDecisionApproveOnce
from copilot.tools import Tool, ToolResult

ADDRESS, TOKEN, MODEL = sys.argv[1:]
SECONDS = 60


def script(*steps):
    """Has the model answer by these steps; returns the prompt that they answer."""
    word = str(uuid.uuid4())
    body = json.dumps({"match": word, "steps": list(steps)}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{MODEL}/script", body, method="POST")).read()
    return word


def requests(word):
    with urllib.request.urlopen(f"{MODEL}/requests?match={urllib.parse.quote(word)}") as answer:
        return json.load(answer)["requests"]


def tool_call(name, arguments):
    return {"toolCall": {"name": name, "arguments": arguments}}


def check(condition, found=None):
    if not condition:
        raise AssertionError(f"found {found!r}")


class Features:
    def __init__(self, client):
        self.client = client
        self.seen = {"events": [], "hooks": [], "permissions": 0}

    def config(self):
        async def permission(request, invocation):
            self.seen["permissions"] += 1
            return PermissionDecisionApproveOnce()

        async def user_input(question, invocation):
            return {"answer": f"answer to {question['question']}", "wasFreeform": True}

        async def pre_tool(event, invocation):
            self.seen["hooks"].append(f"pre:{event.get('toolName')}")

        async def prompt(event, invocation):
            return {"modifiedPrompt": event["prompt"] + " CHANGED"}

        async def lookup(invocation):
            return ToolResult(text_result_for_llm=f"found {invocation.arguments['q']}", result_type="success")

        parameters = {"type": "object", "properties": {"q": {"type": "string"}}}
        return {
            "model": "test-model",
            "provider": {"type": "openai", "base_url": f"{MODEL}/v1", "api_key": "unused"},
            "streaming": True,
            "tools": [Tool(name="lookup", description="d", parameters=parameters, handler=lookup)],
            "on_permission_request": permission,
            "on_user_input_request": user_input,
            "hooks": {"on_pre_tool_use": pre_tool, "on_user_prompt_submitted": prompt},
            "system_message": {"mode": "customize", "sections": {"identity": {"action": lambda text: text + " MARKED"}}},
        }

    def note(self, event):
        kind = event.type.value if hasattr(event.type, "value") else str(event.type)
        self.seen["events"].append((kind, getattr(event.data, "content", None)))

    async def say(self, prompt):
        return (await self.session.send_and_wait(prompt, timeout=SECONDS)).data.content

    async def ping_and_status(self):
        check((await self.client.ping("x")).message == "pong: x")
        check((await self.client.get_status()).version == "1.0.102")
        await self.client.get_auth_status()

    async def create_and_send(self):
        self.session = await self.client.create_session(**self.config())
        self.session.on(self.note)
        check("hello" in await self.say("hello"))

    async def deltas(self):
        check("assistant.message_delta" in [kind for kind, _ in self.seen["events"]])

    async def transform(self):
        systems = [content or "" for kind, content in self.seen["events"] if kind == "system.message"]
        check(any("MARKED" in text for text in systems), len(systems))

    async def prompt_hook(self):
        word = script({"text": "ok"})
        await self.say(word)
        check("CHANGED" in requests(word)[0]["prompt"])

    async def client_tool(self):
        word = script(tool_call("lookup", {"q": "abc"}), {"text": "done"})
        check(await self.say(word) == "done")
        check("found abc" in str(requests(word)[-1]["toolResults"]))

    async def shell_tool(self):
        word = script(tool_call("bash", {"command": "echo hi42", "description": "x"}), {"text": "done"})
        await self.say(word)
        check("hi42" in str(requests(word)[-1]["toolResults"]))
        check("pre:bash" in self.seen["hooks"], self.seen["hooks"])
        check(self.seen["permissions"] > 0)

    async def user_input(self):
        word = script(tool_call("ask_user", {"question": "ok?", "allow_freeform": True}), {"text": "done"})
        await self.say(word)
        check("answer to ok?" in str(requests(word)[-1]["toolResults"]))

    async def set_model(self):
        await self.session.set_model("other-model")
        word = script({"text": "ok"})
        await self.say(word)
        check(requests(word)[0]["model"] == "other-model")

    async def lists_and_metadata(self):
        session_id = self.session.session_id
        check(session_id in [each.session_id for each in await self.client.list_sessions()])
        check(await self.client.get_session_metadata(session_id) is not None)
        check(await self.client.get_last_session_id() == session_id)
        check(len(await self.session.get_events()) > 0)

    async def abort(self):
        word = script({"text": "one two three", "delayMs": 5000, "chunks": 3})
        turn = asyncio.ensure_future(self.say(word))
        while not requests(word):
            await asyncio.sleep(0.05)
        await self.session.abort()
        try:
            await asyncio.wait_for(turn, SECONDS)
        except RuntimeError as error:
            check("aborted" in str(error), error)
        check("and now" in await self.say("and now"))

    async def cancel(self):
        word = script({"text": "one two", "delayMs": 200, "chunks": 2})
        turn = asyncio.ensure_future(self.say(word))
        while not requests(word):
            await asyncio.sleep(0.05)
        turn.cancel()
        check("still there" in await self.say("still there"))

    async def leave_and_resume(self):
        session_id = self.session.session_id
        await self.session.disconnect()
        self.session = await self.client.resume_session(session_id, **self.config())
        word = script({"text": "after"})
        check(await self.say(word) == "after")
        check(requests(word)[0]["roles"].count("user") > 1)

    async def delete(self):
        session_id = self.session.session_id
        await self.session.disconnect()
        await self.client.delete_session(session_id)
        check(session_id not in [each.session_id for each in await self.client.list_sessions()])

    async def stop(self):
        await self.client.stop()


async def main():
    client = CopilotClient(connection=RuntimeConnection.for_uri(ADDRESS, connection_token=TOKEN))
    await client.start()
    features = Features(client)
    outcome = {}
    for name in FEATURES:
        try:
            await asyncio.wait_for(getattr(features, name)(), 2 * SECONDS)
            outcome[name] = "ok"
        except Exception as error:  # Each feature has its own outcome, whatever becomes of it.
            outcome[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(outcome))


FEATURES = [
    name for name in vars(Features) if not name.startswith("_") and name not in ("config", "note", "say")
]
asyncio.run(main())
