# What a shell makes of lines when Tab is pressed after them, on a terminal of its own.
# Usage: complete.py SHELL SETUP < LINES. For each line, which ends with the name of a command and its words, it prints
# the words that the shell came to, each in brackets.
import os, pty, re, select, sys, time

shell, setup = sys.argv[1], sys.argv[2]
arguments = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]

pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1="", LC_ALL="C.UTF-8")
    os.execvp(arguments[0], arguments)


def read_until(pattern, seconds=30):
    text, end = "", time.monotonic() + seconds
    while not re.search(pattern, text, re.S):
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit("no answer from %s: %r" % (shell, text))
        text += os.read(terminal, 65536).decode(errors="replace")
    return re.search(pattern, text, re.S)


def send(text):
    os.write(terminal, text.encode())


# the function stands for the program: it says what it was called with
send(" . %s; catalog() { printf '<%%s' begin; printf '[%%s]' \"$@\"; printf 'end>\\n'; }\n printf '<%%s>\\n' ready\n" % setup)
read_until("<ready>")
for line in sys.stdin.read().splitlines():
    send(line + "\t\n")
    print(read_until(r"<begin(.*?)end>").group(1), flush=True)
send("exit\n")
os.waitpid(pid, 0)
