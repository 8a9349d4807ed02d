#!/usr/bin/env python3
"""Tries the Containerfile by its stages, on a machine that has no container engine or no base images.

    sudo -E python3 deploy/container/try.py             # CARGO_TARGET_DIR, if set, keeps what was built before
    sudo python3 deploy/container/try.py PROGRAM        # the last stage alone, with a program that is built

It follows the file line by line. The first stage runs here, in a copy of what Git tracks. The last stage becomes a
root folder with nothing but the files that are copied into it and the libraries that they name. There the program
runs as the user of the file, with its environment, in namespaces of its own; only /tmp and /dev/shm can be written.
What cannot be tried so: that the base images exist, and what else they contain.
"""

import ctypes
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
# The C library and the compiler's own: every base image with glibc has them.
LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
# Of Ubuntu 24.04, which the last stage is.
GLIBC = (2, 39)
NEW_NAMESPACES = 0x00020000 | 0x20000000 | 0x40000000  # mounts, processes, network
BIND, REMOUNT, READ_ONLY, PRIVATE, DETACH = 4096, 32, 1, (1 << 18) | 16384, 2
PIVOT_ROOT = 155
LIBC = ctypes.CDLL(None, use_errno=True)


def say(text):
    print(f"{time.monotonic() - BEGUN:4.0f} s  {text}", flush=True)


def instructions(text):
    """Word and rest of each instruction; comments and continued lines as the engine reads them."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            yield word, rest.strip()


def stages(text):
    found = []
    for word, rest in instructions(text):
        if word == "FROM":
            image, *name = rest.split(" AS ")
            found.append({"image": image, "name": name[0] if name else None, "steps": []})
        else:
            found[-1]["steps"].append((word, rest))
    return found


def build(stage, root):
    """Runs the first stage, below `root` in place of `/`."""
    wanted = re.search(r"library/rust:([\d.]+)-", stage["image"])[1]
    cargo = subprocess.check_output(["cargo", "--version"], text=True).split()[1]
    assert cargo.startswith(wanted), f"the image has Rust {wanted}, this machine {cargo}"
    place = root
    for word, rest in stage["steps"]:
        say(f"{stage['name']}: {word} {rest}")
        if word == "WORKDIR":
            place = root / rest.lstrip("/")
        elif (word, rest) == ("COPY", ". ."):
            subprocess.run(["git", "clone", "--quiet", "--local", CHECKOUT, place], check=True)
        elif word == "RUN":
            environment = dict(os.environ)
            if kept := environment.pop("CARGO_TARGET_DIR", None):
                os.makedirs(kept, exist_ok=True)
                (place / "target").symlink_to(os.path.abspath(kept))
            subprocess.run(rest, shell=True, check=True, cwd=place, env=environment)
        else:
            sys.exit(f"{word}: this script cannot try it")


def take(program, stage, root):
    """Puts a built program where the last stage expects it."""
    copied = next(rest.split()[1] for word, rest in stage["steps"] if word == "COPY")
    target = root / copied.lstrip("/")
    target.parent.mkdir(parents=True)
    shutil.copy2(program, target)


def assemble(stage, name, root, built):
    """Fills the root folder of the last stage; gives what its image would say of itself."""
    image = {"env": {}, "place": "/", "user": "0:0"}
    for word, rest in stage["steps"]:
        say(f"last: {word} {rest}")
        if word == "COPY":
            flag, source, target = rest.split()
            assert flag == f"--from={name}", rest
            target = root / target.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(built / source.lstrip("/"), target)
        elif word == "ENV":
            image["env"].update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word in ("ENTRYPOINT", "CMD"):
            image[word] = json.loads(rest)
        elif word in ("USER", "WORKDIR"):
            image["user" if word == "USER" else "place"] = rest
        elif word != "LABEL":
            sys.exit(f"{word}: this script cannot try it")
    return image


def libraries(program, root):
    """Copies what the program names, and holds it to what the image is known to have."""
    listed = subprocess.check_output(["ldd", program], text=True)
    for path in re.findall(r"(/\S+) \(0x", listed):
        name = os.path.basename(path)
        assert name in LIBRARIES or name.startswith("ld-linux"), f"the image may lack {name}"
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath(path), target)
        say(f"library: {name}")
    symbols = re.findall(rb"GLIBC_2\.(\d+)", program.read_bytes())
    newest = (2, max(int(minor) for minor in symbols))
    assert newest <= GLIBC, f"needs glibc {newest}, the image has {GLIBC}"
    say(f"newest symbol of the C library: {newest[0]}.{newest[1]}")


def call(function, *arguments):
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(arguments))


def mount(source, target, kind, flags):
    call(LIBC.mount, str(source).encode(), str(target).encode(), kind, ctypes.c_ulong(flags), None)


def enter(root, image):
    """Becomes the container: the folder is `/`, and this process the user of the image."""
    call(LIBC.unshare, NEW_NAMESPACES)
    if child := os.fork():
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    mount("none", "/", None, PRIVATE)
    mount(root, root, None, BIND)
    for name in ("null", "zero", "urandom"):
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, None, BIND)
    for name, kind in (("proc", b"proc"), ("tmp", b"tmpfs"), ("dev/shm", b"tmpfs")):
        (root / name).mkdir(parents=True, exist_ok=True)
        mount(name, root / name, kind, 0)
    mount("none", root, None, BIND | REMOUNT | READ_ONLY)
    os.chdir(root)
    call(LIBC.syscall, ctypes.c_long(PIVOT_ROOT), b".", b".")
    call(LIBC.umount2, b".", DETACH)
    os.chdir(image["place"])
    user, group = map(int, image["user"].split(":"))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def run(root, image, arguments, wanted):
    """Runs the image with arguments; its output must name what is wanted."""
    command = image["ENTRYPOINT"] + (arguments or image["CMD"])
    say(f"last: as {image['user']} in {image['place']}: {' '.join(command)}")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **image["env"]}
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writing, 1)
            os.close(reading)
            enter(root, image)
            os.execve(command[0], command, environment)
        except BaseException as error:  # The copy of this process must not go on as the caller.
            print(error, file=sys.stderr, flush=True)
            os._exit(126)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        output = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("\n".join("        " + line for line in output.splitlines()[-12:]), flush=True)
    assert code == 0, f"exit code {code}"
    assert wanted in output, f"no {wanted!r} in the output"


def main():
    if os.geteuid() != 0:
        sys.exit("run it as root: it becomes the user of the image, and makes namespaces")
    first, last = stages((HERE / "Containerfile").read_text(encoding="utf-8"))
    head = subprocess.check_output(["git", "-C", CHECKOUT, "rev-parse", "HEAD"], text=True).strip()
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        built, root = pathlib.Path(scratch, "build"), pathlib.Path(scratch, "root")
        built.mkdir()
        root.mkdir()
        if len(sys.argv) > 1:
            take(pathlib.Path(sys.argv[1]), last, built)
        else:
            build(first, built)
        image = assemble(last, first["name"], root, built)
        libraries(root / image["ENTRYPOINT"][0].lstrip("/"), root)
        run(root, image, [], "Usage: weighbridge")
        run(root, image, ["version"], "commit   " if len(sys.argv) > 1 else f"commit   {head}\n")
        run(root, image, ["doctor"], "--profile host")
        run(root, image, ["certify", "--profile", "host", "--out", "/tmp/host"], "host profile corroborated")
    say("every stage holds")


BEGUN = time.monotonic()
if __name__ == "__main__":
    main()
