"""A client of HTTP/3 on aioquic, another stack than the proxy's: requests, malformed frames, and closes at any moment.

Usage: http3_client.py ROOT HOST PORT NAME SCENARIO [SEED]
Prints one JSON object with what the proxy did.
"""

import asyncio
import json
import random
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}
        self.done = {}
        self.resets = {}
        self.terminated = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.terminated.done():
            self.terminated.set_result(event.error_code)
            for done in self.done.values():
                if not done.done():
                    done.set_result(None)
        if isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
            self.finish(event.stream_id)
        for http_event in self.http.handle_event(event):
            answer = self.answers.setdefault(http_event.stream_id, {"headers": {}, "length": 0})
            if isinstance(http_event, HeadersReceived):
                for name, value in http_event.headers:
                    answer["headers"][name.decode()] = value.decode()
            if isinstance(http_event, DataReceived):
                answer["length"] += len(http_event.data)
            if http_event.stream_ended:
                self.finish(http_event.stream_id)

    def finish(self, stream):
        done = self.done.get(stream)
        if done and not done.done():
            done.set_result(None)

    def begin(self, name, path, method="GET", body=None):
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        head = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", name.encode()),
            (b":path", path.encode()),
        ]
        self.http.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return stream

    async def request(self, *args, **kwargs):
        stream = self.begin(*args, **kwargs)
        await asyncio.wait_for(self.done[stream], 20)
        return {**self.answers.get(stream, {}), "reset": self.resets.get(stream)}


async def requests(client, name, _):
    many = [client.request(name, f"/download?{length}") for length in (0, 1, 70000, 500000)]
    answers = await asyncio.gather(*many)
    upload = await client.request(name, "/upload", "POST", b"x" * 300000)
    return {
        "lengths": [answer["length"] for answer in answers],
        "status": [answer["headers"][":status"] for answer in [*answers, upload]],
    }


async def malformed(client, _, seed):
    """Sends a frame that is not allowed; tells how the proxy closed the connection."""
    frames = {
        "data-first": bytes([0x00, 1, 0]),
        "settings-on-request": bytes([0x04, 0]),
        "http2-frame": bytes([0x02, 0]),
        "push-promise": bytes([0x05, 1, 0]),
        "bad-qpack": bytes([0x01, 3, 0xFF, 0xFF, 0xFF]),
    }
    stream = client._quic.get_next_available_stream_id()
    client._quic.send_stream_data(stream, frames[seed], end_stream=True)
    client.transmit()
    return {"closed": await asyncio.wait_for(client.terminated, 20)}


async def random_frames(client, _, seed):
    """Sends random bytes on streams of all kinds, and goes away at any moment."""
    source = random.Random(int(seed))
    for _ in range(source.randrange(1, 30)):
        is_unidirectional = source.random() < 0.4
        stream = client._quic.get_next_available_stream_id(is_unidirectional)
        data = bytes(source.randrange(256) for _ in range(source.randrange(1, 200)))
        if source.random() < 0.5:
            data = bytes([source.choice([0, 1, 2, 3, 4, 7, 13, 33])]) + data
        client._quic.send_stream_data(stream, data, end_stream=source.random() < 0.5)
        if source.random() < 0.2:
            client._quic.reset_stream(stream, source.randrange(0x200))
        client.transmit()
        await asyncio.sleep(0)
        if client.terminated.done():
            break
    return {}


async def main():
    root, host, port, name, scenario = sys.argv[1:6]
    seed = sys.argv[6] if len(sys.argv) > 6 else ""
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=True, server_name=name)
    configuration.load_verify_locations(root)
    steps = {"requests": requests, "malformed": malformed, "random": random_frames}
    async with connect(
        host, int(port), configuration=configuration, create_protocol=Client
    ) as client:
        print(json.dumps(await steps[scenario](client, name, seed)))


asyncio.run(main())
