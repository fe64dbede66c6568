"""Item 9: bundles that verify but should not."""

import hashlib
import json
import os
import struct
import tarfile

from .seen import item
from .server import Server


def weights(place):
    """The tensors' descriptions and bytes of a safetensors file."""
    with open(os.path.join(place, "weights.safetensors"), "rb") as file:
        text = file.read()
    size = struct.unpack("<Q", text[:8])[0]
    return json.loads(text[8:8 + size]), bytearray(text[8 + size:])


def write(place, manifest, tensors, numbers):
    text = json.dumps(tensors).encode()
    text += b" " * (-len(text) % 8)
    text = struct.pack("<Q", len(text)) + text + bytes(numbers)
    with open(os.path.join(place, "weights.safetensors"), "wb") as file:
        file.write(text)
    # The hash is right: only what the numbers say is wrong.
    manifest["weights_sha256"] = hashlib.sha256(text).hexdigest()


def not_a_number(prefix):
    """All floats of the tensors that begin so are NaN."""
    def change(place, manifest):
        tensors, numbers = weights(place)
        for name, tensor in tensors.items():
            if name.startswith(prefix) and tensor.get("dtype") == "F32":
                begin, end = tensor["data_offsets"]
                numbers[begin:end] = struct.pack("<f", float("nan")) * ((end - begin) // 4)
        write(place, manifest, tensors, numbers)
    return change


def flat(name):
    """A tensor with the same numbers in another shape."""
    def change(place, manifest):
        tensors, numbers = weights(place)
        shape = tensors[name]["shape"]
        tensors[name]["shape"] = shape[::-1] if len(shape) > 1 and shape != shape[::-1] else [1, *shape]
        write(place, manifest, tensors, numbers)
    return change


def empty(name):
    """A tensor without numbers: its own are taken out."""
    def change(place, manifest):
        tensors, numbers = weights(place)
        begin, end = tensors[name]["data_offsets"]
        del numbers[begin:end]
        for tensor in tensors.values():
            if "data_offsets" in tensor:
                tensor["data_offsets"] = [at - (end - begin) if at >= end else at for at in tensor["data_offsets"]]
        tensors[name] = {"dtype": tensors[name]["dtype"], "shape": [0, *tensors[name]["shape"][1:]], "data_offsets": [begin, begin]}
        write(place, manifest, tensors, numbers)
    return change


def no_outputs(number):
    def change(place, manifest):
        manifest["members"][number]["outputs"] = []
    return change


def no_probes(place, manifest):
    """Ranges that no sample fits, and numbers that are none: a trial without samples would find nothing."""
    for element in manifest["schema"]["composition"]["elements"]:
        element["min"] = element["max"] = 90.0
    not_a_number("members.")(place, manifest)


def verify(server, model):
    return server.command("models", "verify", model, "--models-dir", server.program.models, "--models-dir", server.at("models"), check=False)


@item(9, "Bundles that should not verify do not")
def bundles(program, quick, seen):
    with open(os.path.join(program.models, "glass", "active")) as file:
        glass = os.path.join(program.models, "glass", file.read().split()[0])
    with open(os.path.join(program.models, "steel-fatigue", "active")) as file:
        steel = os.path.join(program.models, "steel-fatigue", file.read().split()[0])
    tensors = {"glass": [name for name in weights(glass)[0] if name != "__metadata__"],
               "steel-fatigue": [name for name in weights(steel)[0] if name.startswith("members.0.")]}
    trials = [("glass", "without probes", no_probes), ("glass", "NaN in the network", not_a_number("members.0.")),
              ("glass", "NaN in one tensor", not_a_number("members.1.values"))]
    trials += [("glass", f"member {number} without outputs", no_outputs(number)) for number in range(4)]
    step = 4 if quick else 1
    for model, names in tensors.items():
        trials += [(model, f"shape of {name}", flat(name)) for name in names[::step]]
        trials += [(model, f"no {name}", empty(name)) for name in names[::step]]
    verified, panicked = [], []
    for number, (model, name, change) in enumerate(trials):
        with Server(program, admin=True, start=False) as server:
            server.copy_version(f"bad{number}", model, change)
            done = verify(server, model)
            if "panicked" in done.stderr or done.returncode not in (0, 1):
                panicked.append(name)
            elif done.returncode == 0:
                verified.append(name)
    few = lambda names: ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    seen.note(f"{len(trials)} bad bundles: {len(verified)} verify" + (f" ({few(verified)})" if verified else ""), not verified)
    seen.note(f"{len(panicked)} panic" + (f" ({few(panicked)})" if panicked else ""), not panicked)
    with Server(program, admin=True) as server:
        server.copy_version("bad", change=no_probes)
        answer = server.promote("bad")
        after = server.post("/classify/glass", {"composition": "Cu60Zr40"}).status
        seen.note(f"an all-NaN bundle is promoted with {answer.status}, answers then {after}", answer.status >= 400 and after == 200)
    for name in ("active", "recipe.toml"):
        with Server(program, admin=True, start=False) as server:
            place = server.copy_version("good", change=lambda place, manifest: manifest.update(version=name))
            tar = server.at("bundle.tar")
            with tarfile.open(tar, "w") as archive:
                archive.add(place, f"glass/{name}")
            done = server.command("models", "import", "--models-dir", server.program.models, "--models-dir", server.at("imported"), tar, check=False)
            seen.note(f"a version called {name} is {'imported' if done.returncode == 0 else 'refused'}", done.returncode == 1)
