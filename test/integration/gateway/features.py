"""What the Python SDK can do with a server, done at ADDRESS with TOKEN; MODEL is the URL of the test model, MCP that of an MCP server.

    python features.py ADDRESS TOKEN MODEL MCP

Prints one JSON object with the outcome of each feature: "ok", or what went wrong.
"""

import asyncio
import base64
import json
import sys
import urllib.parse
import urllib.request
import uuid

from copilot import CopilotClient, RuntimeConnection
from copilot.generated.rpc import CommandsInvokeRequest, ModeSetRequest, PermissionDecisionApproveOnce, SessionMode
from copilot.session import CommandDefinition
from copilot.tools import Tool, ToolResult

ADDRESS, TOKEN, MODEL, MCP = sys.argv[1:]
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
        return await self.said(self.session, prompt)

    async def said(self, session, prompt):
        return (await session.send_and_wait(prompt, timeout=SECONDS)).data.content

    async def another(self, **changes):
        """A session of its own, with what each needs and nothing else."""
        config = self.config()
        needed = {name: config[name] for name in ("model", "provider", "on_permission_request")}
        return await self.client.create_session(**{**needed, **changes})

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

    async def exit_plan_mode(self):
        asked = []

        async def leave(request, invocation):
            asked.append(request["summary"])
            return {"approved": True, "selectedAction": "interactive"}

        session = await self.another(on_exit_plan_mode_request=leave)
        await session.rpc.mode.set(ModeSetRequest(mode=SessionMode.PLAN))
        plan = {"summary": "S", "actions": ["interactive"], "recommendedAction": "interactive"}
        await session.send_and_wait(script(tool_call("exit_plan_mode", plan), {"text": "done"}), timeout=SECONDS)
        check(asked == ["S"], asked)
        check(await session.rpc.mode.get() == SessionMode.INTERACTIVE)

    async def elicitation(self):
        async def answer(context):
            return {"action": "accept", "content": {"a": 1}}

        session = await self.another(on_elicitation_request=answer)
        schema = {"type": "object", "properties": {"a": {"type": "number"}}}
        found = await session.ui.elicitation({"message": "m", "requestedSchema": schema})
        check(found == {"action": "accept", "content": {"a": 1}}, found)

    async def bearer_token(self):
        async def token(arguments):
            return "fresh"

        provider = {"type": "openai", "base_url": f"{MODEL}/v1", "bearer_token_provider": token}
        word = script({"text": "ok"})
        await self.said(await self.another(provider=provider), word)
        check(requests(word)[0]["headers"]["authorization"] == "Bearer fresh")

    async def two_sessions_at_once(self):
        sessions = [await self.another(), await self.another()]
        answers = await asyncio.gather(*(self.said(each, f"number {n}") for n, each in enumerate(sessions)))
        check(all(f"number {n}" in answer for n, answer in enumerate(answers)), answers)

    async def lifecycle(self):
        heard = []
        self.client.on_lifecycle(lambda event: heard.append((event.type, event.session_id)))
        session = await self.another()
        await self.said(session, "hello")
        await session.disconnect()
        await self.client.delete_session(session.session_id)
        while ("session.deleted", session.session_id) not in heard:
            await asyncio.sleep(0.05)
        check(("session.created", session.session_id) in heard, heard)

    async def attachment_and_steering(self):
        session = await self.another()
        word = script({"text": "one two three", "delayMs": 300, "chunks": 3})
        data = base64.b64encode(b"text").decode()
        attachments = [{"type": "blob", "data": data, "mimeType": "text/plain"}]
        turn = asyncio.ensure_future(session.send_and_wait(word, attachments=attachments, timeout=SECONDS))
        while not requests(word):
            await asyncio.sleep(0.05)
        await session.send(f"steer {word}", mode="immediate")
        await turn
        kinds = [event.type.value for event in await session.get_events()]
        check(kinds.count("user.message") == 2, kinds)

    async def command(self):
        said = []
        commands = [CommandDefinition(name="mine", handler=lambda context: said.append(context.args))]
        session = await self.another(commands=commands)
        check("mine" in [each.name for each in (await session.rpc.commands.list()).commands])
        await session.rpc.commands.invoke(CommandsInvokeRequest(name="mine", input="now"))
        check(said == ["now"], said)

    async def sub_agent(self):
        sub = script({"text": "looked"})
        task = {"description": "look", "prompt": f"{sub} look", "agent_type": "finder", "name": "sub", "mode": "sync"}
        agents = [{"name": "finder", "display_name": "Finder", "description": "finds", "prompt": "You find."}]
        session = await self.another(custom_agents=agents)
        check(await self.said(session, script(tool_call("task", task), {"text": "done"})) == "done")
        check(requests(sub))

    async def compaction(self):
        session = await self.another()
        for prompt in ("first", "second"):
            await self.said(session, prompt)
        check((await session.rpc.history.compact()).success)
        check("after" in await self.said(session, "after"))

    async def mcp_over_http(self):
        session = await self.another(mcp_servers={"mine": {"type": "http", "url": MCP, "tools": ["*"]}})
        word = script(tool_call("mine-lookup", {}), {"text": "done"})
        check(await self.said(session, word) == "done")
        check("found" in str(requests(word)[-1]["toolResults"]))

    async def mode_empty(self):
        connection = RuntimeConnection.for_uri(ADDRESS, connection_token=TOKEN)
        client = CopilotClient(connection=connection, mode="empty")
        await client.start()
        word = script({"text": "ok"})
        session = await Features(client).another(available_tools=["view"])
        await self.said(session, word)
        await client.stop()
        check(requests(word)[0]["tools"] == ["view"], requests(word)[0]["tools"])

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
    name for name in vars(Features) if not name.startswith("_") and name not in ("config", "note", "say", "said", "another")
]
asyncio.run(main())
