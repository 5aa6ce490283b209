"""A client of the replaced system, as it is deployed: the Python library `websockets`, the older dialect.

Arguments: the socket's URL on a server with demo mode and on one without it, and a token for the latter.
Each way of connecting that works is printed as one line; whatever is not as agreed ends the script.
"""

import asyncio
import base64
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

DEMO, URL, TOKEN = sys.argv[1:4]
ENCODED = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
BEARER = {"Authorization": "Bearer " + TOKEN}
FIVE = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"]


async def hear(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 20))


async def say(socket, **frame):
    await socket.send(json.dumps(frame))


async def until(socket, kind):
    frames = []
    while not frames or frames[-1]["type"] != kind:
        frames.append(await hear(socket))
    return frames


def check(held, what):
    if not held:
        raise SystemExit(f"not as agreed: {what}")


async def greet(socket, word="handshake_acknowledged"):
    """The first words; answers the thread and the user."""
    established = await hear(socket)
    check(established["type"] == "connection_established", established)
    for at in (established, established["data"]):
        check(at["connection_ready"] is True and at["user_id"] and at["connection_id"] and at["timestamp"], at)
    response = await hear(socket)
    check(response["type"] == "handshake_response", response)
    for name in ("thread_id", "run_id", "request_id", "session_token", "timestamp"):
        check(isinstance(response[name], str), name)
    if word:
        await say(socket, type=word, thread_id=response["thread_id"])
        complete = await hear(socket)
        check(complete["type"] == "handshake_complete", complete)
    return response["thread_id"], established["user_id"]


def check_run(frames, run_id, thread_id, user_id):
    """The frames of one run, from its first event to its end."""
    of_run = [frame for frame in frames if frame.get("run_id") == run_id]
    kinds = [frame["type"] for frame in of_run]
    check(kinds.count("agent_completed") == 1 and kinds[-1] == "agent_completed", kinds)
    check([kind for kind in dict.fromkeys(kinds) if kind in FIVE] == FIVE, kinds)
    check(kinds.count("agent_started") == kinds.count("subagent_completed") + 1, kinds)
    for frame in of_run:
        if frame["type"] == "ack":
            continue
        for at in (frame, frame["payload"], frame["data"]):
            check(at["thread_id"] == thread_id and at["user_id"] == user_id and at["timestamp"], frame)
        if frame["type"].startswith(("agent_", "tool_", "subagent_")):
            check(frame["agent_name"] == frame["data"]["agent"], frame)
    tool = next(frame for frame in of_run if frame["type"] == "tool_completed")
    check(tool["tool_name"] == tool["tool"] == tool["data"]["tool"], tool)
    check(tool["result"] == tool["results"] == tool["output"], tool)
    check(tool["execution_time_ms"] == tool["duration_ms"], tool)
    end = of_run[-1]
    check(end["status"] == "completed" and end["result"] == end["final_response"] == end["response"] != "", end)


async def converse(socket, word="handshake_acknowledged", run_id="client-run-1"):
    thread_id, user_id = await greet(socket, word)
    await say(socket, type="user_message", payload={"content": "hello", "run_id": run_id, "user_id": user_id})
    check_run(await until(socket, "agent_completed"), run_id, thread_id, user_id)
    # Any other word for it, flat; the run has the server's name then.
    await say(socket, type="chat", message="and again?", thread_id=thread_id)
    frames = await until(socket, "agent_completed")
    check_run(frames, frames[-1]["run_id"], thread_id, user_id)
    check(frames[-1]["run_id"].startswith("run_"), frames[-1])
    return thread_id


async def broken(socket):
    """What is wrong is said, and the connection lives."""
    await say(socket, type="typing_started", payload={})
    ack = await hear(socket)
    check((ack["type"], ack["received_type"], ack["status"]) == ("ack", "typing_started", "acknowledged"), ack)
    wrong = ["", "{", "[]", "7", '"x"', "{}", '{"type":7}', '{"type":"user_message"}', '{"type":"chat","text":""}',
             '{"type":"chat","text":"x","thread_id":"nobody"}', '{"type":"chat","text":"%s"}' % ("x" * 8100)]
    for text in wrong:
        await socket.send(text)
        error = await hear(socket)
        check(error["type"] == "error", (text, error))
        check(error["error_code"] and error["error_message"] == error["message"] != "", error)
    await say(socket, type="heartbeat")
    check((await hear(socket))["type"] == "pong", "the connection lives")


async def comes_back():
    """A client that loses its connection at work finds its run again, and hears its end."""
    async with connect(URL, additional_headers=BEARER) as socket:
        thread_id, user_id = await greet(socket)
        question = {"content": "data 1 slow", "run_id": "lost-and-found"}
        await say(socket, type="user_message", payload=question)
        await until(socket, "agent_started")
        socket.transport.abort()
    async with connect(URL, additional_headers=BEARER) as socket:
        found, _ = await greet(socket)
        check(found == thread_id, "the thread of the run under way")
        frames = await until(socket, "agent_completed")
        check_run(frames, "lost-and-found", thread_id, user_id)
        first = next(frame for frame in frames if frame["type"] == "agent_started")
        check(first["replay"] is True, first)
        await say(socket, type="session_restore", thread_id=thread_id, after_seq=1)
        replay = await until(socket, "replay_complete")
        check_run(replay, "lost-and-found", thread_id, user_id)
        strip = lambda frame: {k: v for k, v in frame.items() if k not in ("replay", "payload", "data")}
        again = [strip(frame) for frame in replay if "seq" in frame]
        live = [strip(frame) for frame in frames if "seq" in frame]
        check(all(frame in again for frame in live), "a replay has the images of what was live")


async def refused(**options):
    try:
        async with connect(URL, **options):
            check(False, "let in")
    except InvalidStatus as refusal:
        body = json.loads(refusal.response.body)
        check(refusal.response.status_code == 401 and body["code"] and body["message"], body)


async def golden():
    async with connect(URL, subprotocols=["golden.v1"]) as socket:
        await until(socket, "auth_required")
        await say(socket, type="auth", payload={"token": TOKEN})
        ready = (await until(socket, "connection_ready"))[-1]
        check(ready["payload"]["auth_method"] == "first_message", ready)
        return socket.subprotocol


async def older(url, word="handshake_acknowledged", **options):
    async with connect(url, **options) as socket:
        await converse(socket, word)
        return socket.subprotocol


async def main():
    print("token alone:", await older(URL, subprotocols=["jwt." + TOKEN]))
    print("token encoded:", await older(URL, subprotocols=["jwt." + ENCODED], word="session_acknowledged"))
    print("jwt-auth and token:", await older(URL, subprotocols=["jwt-auth", "jwt." + TOKEN]))
    print("bearer and token:", await older(URL, subprotocols=["bearer", "bearer." + ENCODED], word=None))
    async with connect(URL, additional_headers=BEARER) as socket:
        await greet(socket)
        await broken(socket)
    print("Authorization:", await older(URL, additional_headers=BEARER))
    print("Authorization and jwt-auth:", await older(URL, additional_headers=BEARER, subprotocols=["jwt-auth"]))
    print("nothing, in demo mode:", await older(DEMO))
    print("golden.v1, first frame:", await golden())
    await refused()
    await refused(subprotocols=["jwt-auth"])
    await refused(subprotocols=["jwt." + TOKEN[:-4] + "AAAA"])
    print("refused with 401 and a reason")
    await comes_back()
    print("comes back")


asyncio.run(main())
