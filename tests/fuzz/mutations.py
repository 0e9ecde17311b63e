"""How an input is damaged: bytes at random, and changes that know the format.

Random bytes mostly fail at the first check (a magic number, a checksum, a syntax). The mutations that know a
format change a value where the format has one and make lengths and checksums fit again, so that what lies behind
the first check is reached. All take a :class:`random.Random` and bytes, and return bytes; the same generator gives
the same bytes.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import h5py
import numpy as np

from fuzz import seeds

Mutation = Callable[[Random, bytes], bytes]

NUMBERS = (0, 1, 2, 3, 7, 8, 25, 26, 33, 34, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31)
NUMBERS = (*NUMBERS, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"0",
    b"9" * 40,
    b"9" * 5000,
    b"\\ud800",
    b"\0",
    b"../../",
    b"[",
    b"{",
)


def blind(random: Random, data: bytes) -> bytes:
    """One to six changes of bytes that know nothing."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at = random.randrange(len(found) + 1)
        kind = random.randrange(8)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << random.randrange(8)
        elif kind == 1 and at < len(found):
            found[at] = random.randrange(256)
        elif kind == 2:
            size, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
            found[at : at + size] = (random.choice(NUMBERS) % 256**size).to_bytes(size, order)
        elif kind == 3:
            del found[at : at + random.choice((1, 1, 4, 16, 64))]
        elif kind == 4:
            found[at:at] = found[at : at + random.choice((1, 8, 64))]
        elif kind == 5:
            found[at:at] = random.randbytes(random.choice((1, 2, 8, 40)))
        elif kind == 6:
            found[at : at + random.choice((0, 1, 4))] = random.choice(WORDS)
        elif random.random() < 0.3:
            del found[at:]
    return bytes(found)


def noise(random: Random, data: bytes) -> bytes:
    """Random bytes, sometimes after the seed's first ones."""
    return data[: random.choice((0, 4, 8, 16, 100))] + random.randbytes(random.randrange(200))


def aedat2_events(random: Random, data: bytes) -> bytes:
    """A right header and random events: any time, some special, some of another camera."""
    count = random.randrange(30)
    wide = random.choice((0x7FFF, 0x7FFF, 0xFFFF, 0x1FFFF))
    words = (w for _ in range(count) for w in (random.getrandbits(32) & wide, random.getrandbits(32)))
    return seeds.aedat2_files()[0][: data.find(b"\n") + 1] + struct.pack(f">{2 * count}I", *words)


def nmnist_events(random: Random, data: bytes) -> bytes:
    """Events of random times and polarities, on the sensor or next to it."""
    side = random.choice((34, 34, 35))
    count = random.randrange(30)
    return b"".join(
        bytes([random.randrange(side), random.randrange(side)]) + random.randbytes(3) for _ in range(count)
    )


# -- trees: JSON and TOML ----------------------------------------------------------------------------------


def odd_value(random: Random) -> Any:
    """A value that should not be where it is put."""
    return random.choice(
        (None, True, "", "text", "\ud800", "../../x", "a\0b", "a\nb", "x" * 3000, [], {}, [[]], [None], {"a": {}},
         0, -1, 1, 3, 0.5, 1.5, -0.5, 10**10, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400, 1e308, -1e308, 1e-320,
         float("nan"), float("inf"), [1, 2], ["a"], [1e308] * 3, {"count": 3}, [{"count": 3}])
    )  # fmt: skip


def change_tree(random: Random, tree: Any) -> Any:
    """A copy with one to three places replaced, removed, doubled or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 2, 3))):
        node, parent, key = tree, None, None
        while isinstance(node, (dict, list)) and node and (parent is None or random.random() < 0.75):
            key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
            parent, node = node, node[key]
        if parent is None:
            return odd_value(random)
        kind = random.randrange(5)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        elif kind == 2 and isinstance(node, (int, float)) and abs(node) < 1e300:
            parent[key] = random.choice((-node, node * 1000, node + 1, node / 2, int(node), str(node)))
        else:
            parent[key] = odd_value(random)
    return tree


def change_json(random: Random, data: bytes) -> bytes:
    """Another JSON value; sometimes absurdly deep."""
    if random.random() < 0.01:
        return random.choice((b"[", b'{"a":')) * 100_000
    try:
        return json.dumps(change_tree(random, json.loads(data))).encode()
    except (ValueError, RecursionError):
        return data


_TOML_VALUES = (
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1",
        "2",
        "1.5",
        "-0.0",
        "1e308",
        "1e-320",
        "9" * 19,
        "9" * 40,
    ),
    *("9" * 5000, "true", '""', '"text"', '"a\\nb"', '"\\u0000"', "[]", "[1, 2]", "[[1]]", "[nan]", "{}"),
    *("{a = 1}", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "0xffffffffffffffffff", "[0]", "[-1]"),
    *(
        "[1, 10000000000]",
        "[" * 3000,
        "{a=" * 3000,
        '"' + "x" * 2000 + '"',
        "2147483648",
        "4294967296",
        "100000",
    ),
)


def change_toml(random: Random, data: bytes) -> bytes:
    """Lines of settings with other values, other keys, or in another order."""
    lines = data.decode("utf-8", "replace").splitlines()
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(lines))
        key, _, value = lines[at].partition(" = ")
        kind = random.randrange(6)
        if kind <= 2 and value:
            lines[at] = f"{key} = {random.choice(_TOML_VALUES)}"
        elif kind == 3:
            lines.insert(at, lines[random.randrange(len(lines))])
        elif kind == 4:
            lines[at] = random.choice(
                ("[[data]]", "[data.root]", "a.b.c = 1", ".".join("a" * 500) + " = 1", "")
            )
        elif value:
            others = [line.partition(" = ")[2] for line in lines if " = " in line]
            lines[at] = f"{key} = {random.choice(others)}"
    return "\n".join(lines).encode()


# -- images ------------------------------------------------------------------------------------------------

_DESCR = (
    "|u1",
    "<i8",
    "<f8",
    "<f4",
    "|O",
    "|b1",
    "<U3",
    "|V0",
    "|V8",
    "<c16",
    ">u2",
    "<M8[us]",
    "<f2",
    "|S0",
    "<i9",
)


def npy(random: Random, data: bytes) -> bytes:
    """A ``.npy`` member with another header: shape, type, order, version, or none of it right."""
    size = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + size].decode("latin1"), data[10 + size :]
    descr, shape = (
        header.split("'descr': ")[1].split(",")[0],
        header.split("'shape': ")[1].split(")")[0] + ")",
    )
    kind = random.randrange(7)
    if kind in (0, 6):
        any_shape = ["(" + "".join(f"{random.choice((*NUMBERS, -1, 12, 4, 5))}, " for _ in range(n)) + ")" for n in
                     range(6)]  # fmt: skip
        odd = (
            "()",
            "(12, 4, 5)",
            "(12,)",
            "(12, 4, None)",
            "(1.5,)",
            "'x'",
            "(12, 4, 5",
            "(" * 200,
            "(0, 4, 5)",
        )
        header = header.replace(shape, random.choice((*any_shape, *odd)))
    if kind in (1, 6):
        record = "[('a', '<i4'), ('b', '|O')]"
        header = header.replace(descr, random.choice((*(f"'{d}'" for d in _DESCR), record, "3", "{}")))
    elif kind == 2:
        header = header.replace("False", random.choice(("True", "None", "1", "'x'")))
    elif kind == 3:
        header = random.choice(
            ("", "{}", "{" * 100, "[" * 5000, "__import__('os')", "{'descr': '|u1'}", "\xff" * 30)
        )
    elif kind == 4:
        body = blind(random, body)
    elif kind == 5 and descr == "'<f8'":
        values = np.frombuffer(body, "<f8").copy()
        values[random.randrange(len(values))] = random.choice((np.nan, np.inf, -1, 2, 1e308, -0.0, 1e-320))
        body = values.tobytes()
    version = random.choice((1, 1, 1, 2, 3, 9))
    encoded = header.encode("latin1")
    length = random.choice((len(encoded),) * 6 + NUMBERS) % 2 ** (16 if version == 1 else 32)
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + length.to_bytes(2 if version == 1 else 4, "little")
        + encoded
        + body
    )


def npz(random: Random, data: bytes) -> bytes:
    """An archive with right checksums, whose members are not what they should be."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = random.choice(list(members))
    kind = random.randrange(8)
    if kind == 0:
        members[random.choice(("extra.npy", "../images.npy", "images", "a.pkl"))] = members.pop(name)
    elif kind == 1:
        members[name] = blind(random, members[name])
    elif kind == 2 and random.random() < 0.1:
        members[name] = members[name][:80] + bytes(3_000_000)
    else:
        members[name] = npy(random, members[name])
    found = seeds.archive(
        members, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    )
    return lying_sizes(random, found) if random.random() < 0.1 else found


def idx(random: Random, data: bytes) -> bytes:
    """Image and label files with other headers or contents, plain or compressed."""
    files = [gzip.decompress(part) if part[:2] == b"\x1f\x8b" else part for part in data.split(seeds.SEAM)]
    at = random.randrange(2)
    if random.random() < 0.5:
        field = 4 + 4 * random.randrange(3 if at == 0 else 1)
        number = (random.choice(NUMBERS) % 2**32).to_bytes(4, "big")
        files[at] = files[at][:field] + number + files[at][field + 4 :]
    else:
        files[at] = blind(random, files[at])
    if random.random() < 0.2:
        files[at] += bytes(random.choice((1, 1000, 100_000)))
    return seeds.bundle(
        *(gzip.compress(part, 1, mtime=0) if random.random() < 0.3 else part for part in files)
    )


# -- zips --------------------------------------------------------------------------------------------------


def lying_sizes(random: Random, data: bytes) -> bytes:
    """Another number in an entry of a zip's central directory, or in its end record."""
    found = bytearray(data)
    entry, end = data.find(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    at, size = random.choice(
        [
            (entry + o, s)
            for o, s in ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4))
        ]
        + [(end + o, s) for o, s in ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))]
    )
    if entry >= 0 and end >= 0:
        found[at : at + size] = (random.choice(NUMBERS) % 256**size).to_bytes(size, "little")
    return bytes(found)


def dvs_zip(random: Random, data: bytes) -> bytes:
    """A zip of recordings with odd names, damaged recordings, or members that unpack to far more."""
    members = seeds.dvs_members()
    name = random.choice(list(members))
    kind = random.randrange(6)
    if kind == 0:
        odd = (
            "../" * 5 + "x/",
            "/etc/",
            "C:\\x\\",
            "a\nb/",
            "\ud800/",
            "processed_polarity/",
            "x" * 300 + "/",
            "",
        )
        content = members.pop(name)
        members[(random.choice(odd) + name.rpartition("/")[2]).encode("utf-8", "replace").decode()] = content
    elif kind == 1:
        members[name] = blind(random, members[name])
    elif kind == 2:
        members[name] = aedat2_events(random, seeds.aedat2_files()[0])
    elif kind == 3 and random.random() < 0.02:
        members[name] += bytes(random.choice((2**20, 2**26 + 1)))
    elif kind == 4:
        return blind(random, seeds.archive(members))
    else:
        return lying_sizes(random, seeds.archive(members))
    return seeds.archive(
        members, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    )


# -- HDF5 --------------------------------------------------------------------------------------------------


def hdf5(random: Random, data: bytes) -> bytes:
    """A whole HDF5 file with odd shapes, types, filters, links, storage or numbers."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        count = random.choice((1, 3, 12))
        for i in range(count):
            shape = random.choice(((4, 4), (4, 4), (4, 4), (1, 4), (0, 4), (4, 3), (4,), (2, 2, 4), ()))
            low, high = random.choice(((0, 2), (0, 2), (0, 26), (0, 128), (-3, 200), (0, 2**31)))
            values = np.random.default_rng(random.getrandbits(32)).integers(low, high, shape)
            if len(shape) == 2 and shape[1] == 4 and random.random() < 0.8:
                values[:, 3] %= 2
                values[:, 1:3] %= random.choice((26, 128, 129))
            kind = random.choice(("i8", "u4", "i8", "u8", "f8", "u1", "S3", ">i2"))
            extra: dict[str, Any] = {}
            if len(shape) == 2 and shape[0] and random.random() < 0.5:
                filters = ({"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True},
                           {"maxshape": (None, 4)}, {"scaleoffset": 0})  # fmt: skip
                extra = random.choice(filters)
                kind = "i8"
            where = file.create_group(f"train/{i}") if random.random() < 0.03 else None
            if where is None:
                file.create_dataset(f"train/{i}", data=values.astype(kind), **extra)
        labels = np.arange(count) % random.choice((1, 3, 11)) - random.choice((0, 0, 0, 1))
        file["train/labels"] = labels.astype(random.choice(("i8", "i8", "u1", "f4")))
        special = random.randrange(12)
        if special == 0:
            file["train/0_"] = h5py.ExternalLink("/etc/passwd", "/x")
            del file["train/0"]
            file["train/0"] = h5py.ExternalLink("outside.h5", "/train/0")
        elif special == 1:
            del file["train/0"]
            file["train/0"] = h5py.SoftLink(random.choice(("/train/0", "/train/1", "/train", "/nowhere")))
        elif special == 2:
            del file["train/0"]
            rows = random.choice((5_000, 3_999_999, 4_000_001, 2**40, 2**60))
            file.create_dataset("train/0", (rows, 4), "i8", maxshape=(None, 4), compression="gzip")
        elif special == 3:
            del file["train/labels"]
            file.create_dataset("train/labels", (random.choice((count, 2**40)),), "i8", maxshape=(None,))
        elif special == 4:
            del file["train/0"]
            file.create_dataset("train/0", (4, 4), "i8", external=[("/dev/zero", 0, 128)])
        elif special == 5:
            del file["train/0"]
            kept, shape = h5py.h5p.create(h5py.h5p.DATASET_CREATE), h5py.h5s.create_simple((4, 4))
            kept.set_obj_track_times(
                False
            )  # else the time of day is in the file, and an input has no address
            kept.set_virtual(shape, b"outside.h5", b"x", shape)
            h5py.h5d.create(file["train"].id, b"0", h5py.h5t.NATIVE_INT64, shape, kept)
        elif special == 6:
            for i in range(count, 60):
                file[f"train/{i}"] = file["train/0"]
    found = buffer.getvalue()
    return blind(random, found) if random.random() < 0.3 else found


# -- run folders -------------------------------------------------------------------------------------------


def safetensor(random: Random, data: bytes) -> bytes:
    """A safetensors file with another header: names, types, shapes, offsets; its length fits."""
    size = int.from_bytes(data[:8], "little")
    try:
        header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    except ValueError:
        return data
    names = [name for name in header if name != "__metadata__"]
    kind = random.randrange(7)
    if kind <= 3 and names:
        entry = header[random.choice(names)]
        if kind == 0:
            width = {"F32": 4, "I64": 8, "U8": 1}.get(entry["dtype"], 1)
            same = {
                4: ("I32", "U32", "F32"),
                8: ("F64", "U64", "C64"),
                1: ("BOOL", "I8", "F8_E4M3", "F8_E5M2"),
            }[width]
            entry["dtype"] = random.choice(same)
        elif kind == 1:
            entry["shape"] = random.choice(
                (entry["shape"][::-1], [int(np.prod(entry["shape"]))], [1, *entry["shape"]])
            )
        elif kind == 2:
            header[random.choice(("other", "params.extra", "votes", ""))] = header.pop(random.choice(names))
        else:
            entry["shape"] = [random.choice(NUMBERS) for _ in range(random.randrange(5))]
    elif kind == 4:
        header = change_tree(random, header)
    elif kind == 5:
        header["__metadata__"] = {"bin_us": random.choice(("x", "-1", "0", "9" * 30, "9" * 5000, "nan"))}
    else:
        body = blind(random, body)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def model(random: Random, data: bytes) -> bytes:
    """One file of a run to be evaluated is another; the checkpoint's digests fit."""
    parts = [part or b"" for part in seeds.unbundle(data, 4)]
    settings, manifest, facts, tensors = parts
    kind = random.randrange(5)
    if kind == 0:
        settings = change_toml(random, settings)
    elif kind == 1:
        manifest = change_json(random, manifest)
    elif kind == 2:
        tensors = safetensor(random, tensors)
        facts = seeds.sealed(json.loads(facts), tensors)
    elif kind == 3:
        facts = seeds.sealed(change_tree(random, json.loads(facts)), tensors)
    else:
        at = random.randrange(4)
        parts[at] = blind(random, parts[at])
        return seeds.bundle(*parts[: random.choice((4, 4, 4, 3, 2, 1))])
    return seeds.bundle(settings, manifest, facts, tensors)


def run_folder(random: Random, data: bytes) -> bytes:
    """One file of a finished run is another."""
    parts = [part or b"" for part in seeds.unbundle(data, len(seeds.RUN_FILES))]
    at = random.choice((0, 1, 1, 1, 2, 2, 3, 4, 4))
    name = seeds.RUN_FILES[at]
    if random.random() < 0.1:
        parts[at] = blind(random, parts[at])
    elif name == "metrics.jsonl":
        lines = parts[at].splitlines()
        for _ in range(random.choice((1, 2))):
            place = random.randrange(len(lines))
            lines[place] = change_json(random, lines[place])
        parts[at] = b"\n".join(lines)
    else:
        change = {".json": change_json, ".toml": change_toml, ".safetensors": safetensor}[
            "." + name.split(".")[1]
        ]
        parts[at] = change(random, parts[at])
    return seeds.bundle(*parts)


def parts(random: Random, data: bytes) -> bytes:
    """One part of a sweep is another."""
    files = data.split(seeds.SEAM)
    at = random.randrange(len(files))
    files[at] = change_json(random, files[at])
    return seeds.bundle(*files)


def state(random: Random, data: bytes) -> bytes:
    """The tensors of a saved state are others; the digests fit."""
    facts, tensors = data.split(seeds.SEAM)
    tensors = safetensor(random, tensors)
    return seeds.bundle(seeds.sealed(json.loads(facts), tensors), tensors)


# -- the wire ----------------------------------------------------------------------------------------------


def datagram(random: Random, data: bytes) -> bytes:
    """Whole events of any time, on the sensor or off it."""
    far, side = random.choice((10, 10**6, 2**40, 2**64)), random.choice((3, 3, 2**16))
    rows = ((random.randrange(far), random.randrange(side), random.randrange(side), random.randrange(2)) for _ in
            range(random.randrange(30)))  # fmt: skip
    return b"".join(struct.pack("<QHHB", *row) for row in rows)


def fields(random: Random, data: bytes) -> bytes:
    """A line with other fields."""
    parts = data.split(b",")
    odd = (
        b"",
        b"-1",
        b"1.5",
        b"nan",
        b"9" * 19,
        b"9" * 20,
        b"9" * 21,
        b"0x1",
        b"1_0",
        b" 1 ",
        b"\xb2",
        b"\xff",
        b"2",
    )
    parts[random.randrange(len(parts))] = random.choice((*odd, *(str(n).encode() for n in NUMBERS)))
    if random.random() < 0.1:
        parts.append(b"1")
    return b",".join(parts)
