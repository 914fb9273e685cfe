"""Clients of the Python SDK that chat without a pause at ADDRESS with TOKEN until the standard input ends; MODEL is the URL of the test model.

    python chatter.py ADDRESS TOKEN MODEL SESSIONS

Prints a line when all sessions are made, and at the end one JSON list of what each session did and saw, for the checker of histories.
"""

import asyncio
import json
import sys
import uuid

from copilot import CopilotClient, RuntimeConnection
from copilot.generated.rpc import PermissionDecisionApproveOnce

ADDRESS, TOKEN, MODEL, SESSIONS = sys.argv[1:]
SECONDS = 300


async def permission(request, invocation):
    return PermissionDecisionApproveOnce()


async def create(client):
    return await client.create_session(
        model="test-model",
        provider={"type": "openai", "base_url": f"{MODEL}/v1", "api_key": "unused"},
        streaming=True,
        on_permission_request=permission,
    )


async def chat(session, stopped):
    seen = {"id": session.session_id, "prompts": [], "failed": [], "events": []}

    def note(event):
        kind = event.type.value if hasattr(event.type, "value") else str(event.type)
        seen["events"].append({"id": str(event.id), "type": kind})

    session.on(note)
    while not stopped.is_set():
        prompt = f"python-{uuid.uuid4()}"
        try:
            answer = await session.send_and_wait(prompt, timeout=SECONDS)
            seen["prompts"].append(prompt)
            if answer is None or prompt not in answer.data.content:
                seen["failed"].append(f"{prompt}: {answer and answer.data.content} after {seen['events'][-12:]}")
        except Exception as error:  # Whatever a client is told in place of its answer.
            seen["failed"].append(f"{prompt}: {type(error).__name__} {error} after {seen['events'][-12:]}")
    return seen


async def main():
    client = CopilotClient(connection=RuntimeConnection.for_uri(ADDRESS, connection_token=TOKEN))
    await client.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stopped.set)
    sessions = await asyncio.gather(*(create(client) for _ in range(int(SESSIONS))))
    print("ready", flush=True)
    seen = await asyncio.gather(*(chat(session, stopped) for session in sessions))
    print(json.dumps(seen))
    await client.stop()


asyncio.run(main())
