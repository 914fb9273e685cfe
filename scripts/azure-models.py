"""Writes test/fixtures/azure/container-group.json: the names and types of a container group, from Azure's own Python package.

`make azure-models` runs it. Only what a container group consists of is kept, and no text. The package is read, not run, so that none of
what it depends on is needed.
"""

import ast
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "azure-mgmt-containerinstance"
VERSION = "10.1.0"
ROOT = "ContainerGroup"
FOLDER = "azure/mgmt/containerinstance"
FIXTURE = pathlib.Path(__file__).parent.parent / "test/fixtures/azure/container-group.json"


def wheel(folder):
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--dest", folder, f"{PACKAGE}=={VERSION}"], check=True)
    [found] = pathlib.Path(folder).glob("*.whl")
    return zipfile.ZipFile(found)


def classes(source):
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def constant(node, name):
    """The value of a class attribute that is written out."""
    for item in node.body:
        if isinstance(item, ast.Assign) and getattr(item.targets[0], "id", None) == name:
            return ast.literal_eval(item.value)
    return {}


def enums(source):
    def values(node):
        return [item.value.value for item in node.body if isinstance(item, ast.Assign)]

    return {name: values(node) for name, node in classes(source).items()}


def documented_enums(node):
    """Fields whose type is a plain string for the wire, and an enumeration by their documentation."""
    found = {}
    for line in (ast.get_docstring(node) or "").replace("\n ", " ").splitlines():
        if line.startswith(":vartype ") and " or ~" in line:
            name = line.split()[1].rstrip(":")
            found[name] = line.rsplit(".", 1)[1]
    return found


def model(node, known_enums):
    validation = constant(node, "_validation")
    documented = documented_enums(node)
    fields = {}
    for attribute, entry in constant(node, "_attribute_map").items():
        rules = validation.get(attribute, {})
        field = {"type": entry["type"]}
        if rules.get("required"):
            field["required"] = True
        if rules.get("readonly"):
            field["readOnly"] = True
        if attribute in documented:
            field["values"] = known_enums[documented[attribute]]
        # The dot stands for a level: "properties.image".
        fields[entry["key"]] = field
    return dict(sorted(fields.items()))


def referred(fields):
    return {field["type"].strip("[]{}") for field in fields.values()}


def main():
    with tempfile.TemporaryDirectory() as folder, wheel(folder) as files:
        def source(name):
            return files.read(f"{FOLDER}/{name}").decode()

        known = classes(source("models/_models_py3.py"))
        known_enums = enums(source("models/_container_instance_management_client_enums.py"))
        config = source("_configuration.py")
    version = config.split('"api_version", "')[1].split('"')[0]
    models, open_names = {}, [ROOT]
    while open_names:
        name = open_names.pop()
        if name in models or name not in known:
            continue
        models[name] = model(known[name], known_enums)
        open_names += referred(models[name])
    fixture = {
        "generatedBy": "make azure-models",
        "package": f"{PACKAGE} {VERSION}",
        "apiVersion": version,
        "root": ROOT,
        "models": dict(sorted(models.items())),
    }
    FIXTURE.write_text(json.dumps(fixture, indent=2) + "\n")
    print(f"{FIXTURE.name}: {len(models)} models of {PACKAGE} {VERSION}, API version {version}")


main()
