"""A client of the replaced system, as it is deployed: the Python library `websockets`, the older dialect.

Arguments: which of the library's clients to use (`asyncio`, `sync` or `legacy`), the socket's URL on a server
with demo mode and on one without it, and a token for the latter. Each way of connecting that works is printed
as one line; whatever is not as agreed ends the script.
"""

import asyncio
import base64
import json
import socket as sockets
import sys
import urllib.request
import warnings

from websockets.exceptions import ConnectionClosedError, InvalidStatus

LIBRARY, DEMO, URL, TOKEN = sys.argv[1:5]
PATIENCE = 20
ENCODED = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
BROKEN = TOKEN[:-4] + "AAAA"
BEARER = {"Authorization": "Bearer " + TOKEN}
WORDS = ["handshake_acknowledged", "session_acknowledged", None]
FIVE = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"]
ENDS = ["run_completed", "run_failed", "run_timed_out", "run_cancelled", "run_interrupted"]


class Asyncio:
    """`websockets.asyncio.client`."""

    def __init__(self, url, **options):
        from websockets.asyncio.client import connect

        self.connecting = connect(url, **options)

    async def __aenter__(self):
        self.socket = await self.connecting.__aenter__()
        self.subprotocol = self.socket.subprotocol
        return self

    async def __aexit__(self, *raised):
        await self.connecting.__aexit__(*raised)

    async def send(self, text):
        await self.socket.send(text)

    async def recv(self):
        return await asyncio.wait_for(self.socket.recv(), PATIENCE)

    def abort(self):
        self.socket.transport.abort()


class Legacy(Asyncio):
    """`websockets.legacy.client`: headers have another name, and a refusal has no body."""

    def __init__(self, url, **options):
        warnings.simplefilter("ignore", DeprecationWarning)
        from websockets.legacy.client import connect

        if "additional_headers" in options:
            options["extra_headers"] = options.pop("additional_headers")
        self.connecting = connect(url, **options)

    async def __aenter__(self):
        from websockets.legacy.exceptions import InvalidStatusCode

        try:
            return await super().__aenter__()
        except InvalidStatusCode as refusal:
            raise Refused(refusal.status_code) from None

    async def __aexit__(self, *raised):
        try:
            await super().__aexit__(*raised)
        except ConnectionClosedError:
            check(self.aborted, "nobody else closes")

    aborted = False

    def abort(self):
        self.aborted = True
        super().abort()


class Sync(Asyncio):
    """`websockets.sync.client`, which blocks: each call in a thread of its own."""

    def __init__(self, url, **options):
        self.url, self.options = url, options

    async def __aenter__(self):
        from websockets.sync.client import connect

        self.socket = await asyncio.to_thread(connect, self.url, **self.options)
        self.subprotocol = self.socket.subprotocol
        return self

    async def __aexit__(self, *raised):
        await asyncio.to_thread(self.socket.close)

    async def send(self, text):
        await asyncio.to_thread(self.socket.send, text)

    async def recv(self):
        return await asyncio.to_thread(self.socket.recv, PATIENCE)

    def abort(self):
        self.socket.socket.shutdown(sockets.SHUT_RDWR)


class Refused(Exception):
    """The status of a refused upgrade."""


connect = {"asyncio": Asyncio, "sync": Sync, "legacy": Legacy}[LIBRARY]


async def hear(socket):
    return json.loads(await socket.recv())


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
    return response["thread_id"], established


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


async def converse(socket, word, run_id):
    """A whole conversation; answers by which place the credential came."""
    thread_id, established = await greet(socket, word)
    user_id = established["user_id"]
    await say(socket, type="user_message", payload={"content": "hello", "run_id": run_id, "user_id": user_id})
    check_run(await until(socket, "agent_completed"), run_id, thread_id, user_id)
    # Any other word for it, flat; the run has the server's name then.
    await say(socket, type="chat", message="and again?", thread_id=thread_id)
    frames = await until(socket, "agent_completed")
    check_run(frames, frames[-1]["run_id"], thread_id, user_id)
    check(frames[-1]["run_id"].startswith("run_"), frames[-1])
    return established["auth_method"]


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
        thread_id, established = await greet(socket)
        user_id = established["user_id"]
        question = {"content": "data 1 slow", "run_id": "lost-and-found"}
        await say(socket, type="user_message", payload=question)
        await until(socket, "agent_started")
        socket.abort()
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


async def refused(code, url=URL, **options):
    """Refused before the upgrade, with a reason where the library shows one."""
    status = 400 if code == "auth_ambiguous" else 401
    try:
        async with connect(url, **options):
            check(False, ("let in", url, options))
    except InvalidStatus as refusal:
        body = json.loads(refusal.response.body)
        said = (refusal.response.status_code, body["code"])
        check(said == (status, code) and body["message"], (said, options))
    except Refused as refusal:
        check(refusal.args == (status,), (refusal.args, options))


def ticket():
    url = URL.replace("ws://", "http://").replace("/ws", "/api/auth/ticket")
    with urllib.request.urlopen(urllib.request.Request(url, method="POST", headers=BEARER), timeout=PATIENCE) as answer:
        return json.load(answer)["ticket"]


async def golden(url=URL, **options):
    """A question in `golden.v1`; answers what was selected, and by which place the credential came."""
    async with connect(url, **options) as socket:
        first = await hear(socket)
        if first["type"] == "auth_required":
            await say(socket, type="auth", payload={"token": TOKEN})
            first = (await until(socket, "connection_ready"))[-1]
        check(first["type"] == "connection_ready", first)
        await say(socket, type="user_message", payload={"content": "hello"})
        kinds = []
        while not kinds or kinds[-1] not in ENDS:
            kinds.append((await hear(socket))["type"])
        check(kinds[-1] == "run_completed" and set(FIVE) <= set(kinds), kinds)
        return socket.subprotocol, first["payload"]["auth_method"]


async def older(nth, url=URL, **options):
    """A conversation in the older dialect; answers the same."""
    async with connect(url, **options) as socket:
        by = await converse(socket, WORDS[nth % len(WORDS)], f"client-run-{nth}")
        return socket.subprotocol, by


# What stands before a token, and how the token is written behind it. Padding and the other alphabet of base64
# the library itself refuses: they are no characters of a token of HTTP.
PREFIXES = ["jwt.", "jwt-auth.", "bearer.", "base64url.bearer.authorization.golden."]
WRITTEN = {"as it is": TOKEN, "base64url": ENCODED}
NAMES = [[], ["jwt-auth"], ["jwt"], ["bearer"], ["jwt-auth", "jwt", "bearer"], ["chat.v7", "bearer"]]


def ways():
    """Everything an older client may offer: a name for the way, its address, its options."""
    for prefix in PREFIXES:
        for written, token in WRITTEN.items():
            yield f"{prefix} {written}", URL, {"subprotocols": [prefix + token]}
    for names in NAMES:
        shown = " ".join(names) or "nothing"
        if names:
            yield f"{shown}, token", URL, {"subprotocols": [*names, "jwt." + ENCODED]}
            yield f"token, {shown}", URL, {"subprotocols": ["bearer." + TOKEN, *names]}
        offer = {"subprotocols": names} if names else {}
        yield f"{shown}, Authorization", URL, {**offer, "additional_headers": BEARER}
        yield f"{shown}, ticket", f"{URL}?ticket={ticket()}", offer
        yield f"{shown}, demo mode", DEMO, offer
    twice = {"subprotocols": ["jwt-auth", "jwt." + TOKEN], "additional_headers": BEARER}
    yield "token and Authorization", URL, twice


async def main():
    for nth, (shown, url, options) in enumerate(ways()):
        selected, by = await older(nth, url, **options)
        print(f"{shown}: {selected} by {by}")
    async with connect(URL, additional_headers=BEARER) as socket:
        await greet(socket)
        await broken(socket)
    v1 = "golden.v1"
    print("golden.v1, first frame:", *await golden(subprotocols=[v1]))
    print("golden.v1, Authorization:", *await golden(subprotocols=[v1], additional_headers=BEARER))
    print("golden.v1, token:", *await golden(subprotocols=[v1, "jwt." + ENCODED]))
    print("token, jwt-auth, golden.v1:", *await golden(subprotocols=["jwt." + TOKEN, "jwt-auth", v1]))
    print("golden.v1, ticket:", *await golden(f"{URL}?ticket={ticket()}", subprotocols=[v1]))
    print("golden.v1 in the address:", *await golden(f"{URL}?protocol={v1}", additional_headers=BEARER))
    for names in NAMES:
        await refused("unauthorized", subprotocols=names or None)
        await refused("unauthorized", f"{URL}?token={TOKEN}", subprotocols=names or None)
        for prefix in PREFIXES:
            await refused("unauthorized", subprotocols=[*names, prefix + BROKEN])
    stranger = ".".join([TOKEN.split(".")[0], base64.urlsafe_b64encode(b'{"sub":"eve 1"}').decode(), "AAAA"])
    await refused("auth_ambiguous", subprotocols=["jwt-auth", "jwt." + stranger], additional_headers=BEARER)
    print("refused with a reason")
    await comes_back()
    print("comes back")


asyncio.run(main())
