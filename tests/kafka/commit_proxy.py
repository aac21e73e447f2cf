"""A TCP proxy in front of the broker that does things to EndTxn requests, the commits of transactions; all else passes as it comes.

A Kafka request is a length (4 bytes, big end first), then api_key (2 bytes), api_version (2), correlation id (4), and more. EndTxn is
api_key 26. Where broker.proxy is, and why clients come back to the proxy after they have asked for the cluster's addresses:
scripts/kafka-broker.sh."""
import asyncio, struct, threading

END_TXN = 26


class CommitProxy:
    """decide() is asked for each EndTxn and answers with one of

    ('pass',)          as it comes
    ('hold', seconds)  the request reaches the broker that much later, and what follows it on its connection waits behind it
    ('cut', seconds)   the client loses its connection at once, and the broker gets the request that much later: by then the client may
                       have sent it again, or have begun another transaction
    ('mute',)          the broker gets it, and the client loses its connection before the answer"""

    def __init__(self, front, behind, decide):
        self.front, self.behind, self.decide = front, behind, decide
        self.tasks = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.ready.wait()
        if self.failure:
            raise self.failure

    def run(self):
        try:
            self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, '127.0.0.1', self.front))
        except OSError as failure:
            self.failure = failure
        self.ready.set()
        if not self.failure:
            self.loop.run_forever()
        self.loop.close()

    def close(self):
        async def end():
            self.server.close()
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join()

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        broker_reader, broker_writer = await asyncio.open_connection('127.0.0.1', self.behind)
        muted = set()  # correlation ids whose answer is not to arrive
        answers = asyncio.ensure_future(self.answer(broker_reader, writer, muted))
        try:
            await self.forward(reader, writer, broker_writer, muted)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            writer.close()
            broker_writer.close()

    async def forward(self, reader, writer, broker_writer, muted):
        while True:
            length = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack('>i', length)[0])
            api_key, _, correlation = struct.unpack('>hhi', frame[:8])
            what, *seconds = self.decide() if api_key == END_TXN else ('pass',)
            if what == 'mute':
                muted.add(correlation)
            elif what == 'cut':
                writer.close()
            if seconds:
                await asyncio.sleep(*seconds)
            broker_writer.write(length + frame)
            await broker_writer.drain()
            if what == 'cut':
                await asyncio.sleep(1)  # the broker would not look at a request whose connection is gone
                return

    async def answer(self, broker_reader, writer, muted):
        try:
            while True:
                length = await broker_reader.readexactly(4)
                frame = await broker_reader.readexactly(struct.unpack('>i', length)[0])
                if struct.unpack('>i', frame[:4])[0] in muted:
                    writer.close()
                    return
                writer.write(length + frame)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
