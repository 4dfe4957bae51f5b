# A way to a server that can be interrupted: way.py PORT SERVER_PORT. The standard input says how it is: `open`; `cut`
# (what there is breaks, and nothing is let through); `hold` (bytes are kept, and come when it is open again, also those
# of who has hung up meanwhile); `end`. Ends with its standard input, too.
import asyncio
import sys

connections, is_open = set(), asyncio.Event()
state = "open"


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            await is_open.wait()
            writer.write(data)
            await writer.drain()
        await is_open.wait()
    except OSError:
        pass
    finally:
        writer.close()


async def connect(reader, writer):
    if state == "cut":
        return writer.transport.abort()
    try:
        there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    except OSError:
        return writer.transport.abort()
    both = (writer, back)
    connections.add(both)
    await asyncio.gather(pump(reader, back), pump(there, writer))
    connections.discard(both)


def tell():
    global state
    line = sys.stdin.readline()
    if not line or line == "end\n":
        return asyncio.get_running_loop().stop()
    state = line.strip()
    if state == "cut":
        for both in connections:
            for writer in both:
                writer.transport.abort()
    (is_open.clear if state == "hold" else is_open.set)()


async def main():
    is_open.set()
    await asyncio.start_server(connect, "127.0.0.1", int(sys.argv[1]))
    asyncio.get_running_loop().add_reader(sys.stdin, tell)
    print("ready", flush=True)
    await asyncio.Event().wait()


try:
    asyncio.run(main())
except RuntimeError:  # its standard input has ended
    pass
