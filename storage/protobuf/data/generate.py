#!/usr/bin/env python3
"""Writes tags.tsv: the protobuf field numbers of every built-in type, from the sources of the k8s-pb crate.

    python3 generate.py <k8s-pb source folder> <storage/schema/data/types.tsv> > tags.tsv

One line per message ("T", name), then one per field: JSON name, number, form.
Forms: s string, i varint, b bool, d double, B bytes, @message; [ in front for repeated, { for maps of text to that.
A field named "^" holds a message whose fields stand in the parent in JSON (an embedded struct upstream); its form is
the message. Fields that JSON does not have are left out.
"""
import re
import sys
from pathlib import Path

SCALARS = {"string": "s", "int32": "i", "int64": "i", "bool": "b", "double": "d", "bytes": "B"}


def flat(name):
    return name.replace("r#", "").replace("_", "").replace("-", "").lower()


def messages(root):
    for path in sorted(root.rglob("mod.rs")):
        parts = path.relative_to(root).parts[:-1]
        # The crate's folders are named as the types are, but for dashes.
        module = ".".join(parts).replace("apiextensions_apiserver", "apiextensions-apiserver")
        module = module.replace("kube_aggregator", "kube-aggregator")
        text = path.read_text()
        for match in re.finditer(r"pub struct (\w+) \{(\}|.*?\n\})", text, re.S):
            yield module, match.group(1), fields(module, match.group(2))


def fields(module, body):
    out = []
    pattern = r'#\[prost\(((?:[^()"]|"[^"]*")*)\)\]\s*pub ([\w#]+):\s*((?:[^,<>]|<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>)*),'
    for attribute, name, rust in re.findall(pattern, body):
        words = [word.strip() for word in re.findall(r'(?:[^,"]|"[^"]*")+', attribute)]
        tag = next(word.split('"')[1] for word in words if word.startswith("tag"))
        kind = words[0]
        prefix = "[" if "repeated" in words else ""
        if kind.startswith(("btree_map", "map")):
            value = kind.split('"')[1].split(",")[1].strip()
            prefix, kind = "{", value
        rust = "".join(rust.split())
        if kind == "message":
            out.append((name, tag, prefix, resolve(module, innermost(rust))))
        else:
            out.append((name, tag, prefix, SCALARS[kind.split("=")[0].strip()]))
    return out


def innermost(rust):
    rust = rust.rstrip(",")
    while "<" in rust:
        inner = rust[rust.index("<") + 1 : rust.rindex(">")]
        inner = inner.rstrip(",")
        rust = inner.split(",")[-1] if "Map" in rust.split("<")[0] else inner
    return rust


def resolve(module, path):
    parts = path.split("::")
    here = module.split(".")
    while parts and parts[0] == "super":
        here.pop()
        parts.pop(0)
    full = ".".join(here + parts)
    full = full.replace("apiextensions_apiserver", "apiextensions-apiserver")
    return "@" + full.replace("kube_aggregator", "kube-aggregator")


def types(path):
    out, last = {}, None
    for line in Path(path).read_text().splitlines():
        part = line.split("\t")
        if part[0] == "T":
            last = out.setdefault(part[1], {})
        else:
            last[flat(part[0].lstrip("$"))] = part[0]
    return out


def main():
    json_types = types(sys.argv[2])
    # The crate writes HTTPGetAction as HttpGetAction.
    spelled = {name.lower(): name for name in json_types}

    def spell(name):
        return spelled.get(name.lower(), name)

    pb = {}
    for module, name, found in messages(Path(sys.argv[1]) / "src"):
        forms = [(n, tag, prefix, "@" + spell(f[1:]) if f[0] == "@" else f) for n, tag, prefix, f in found]
        pb[spell(f"{module}.{name}")] = forms
    embedded = {}
    lines, missing = [], []
    # Messages that stand embedded in a parent take the parent's JSON names.
    def names_for(full):
        return json_types.get(full) or embedded.get(full)

    def emit(full):
        names = names_for(full)
        lines.append(f"T\t{full}")
        for name, tag, prefix, form in pb[full]:
            wire = flat(name)
            json_name = names.get(wire) if names is not None else name
            if json_name is not None:
                lines.append(f"{json_name}\t{tag}\t{prefix}{form}")
            elif form.startswith("@") and form[1:] in pb and not prefix:
                inner = {flat(n): n for n, *_ in pb[form[1:]]}
                if any(key in names for key in inner) or has_embedded(form[1:], names):
                    known = embedded.setdefault(form[1:], {})
                    known.update(names)
                    lines.append(f"^\t{tag}\t{form}")
                else:
                    missing.append(f"{full}.{name}")
            else:
                missing.append(f"{full}.{name}")

    def has_embedded(full, names):
        return any(
            form.startswith("@") and any(flat(n) in names for n, *_ in pb.get(form[1:], []))
            for _, _, _, form in pb[full]
        )

    # Types that JSON has, in passes so that what is embedded comes after its parents.
    done = set()
    for full in sorted(pb):
        if full in json_types:
            emit(full)
            done.add(full)
    while set(embedded) - done:
        for full in sorted(set(embedded) - done):
            if full not in json_types:
                emit(full)
            done.add(full)
    # Messages without a JSON struct of their own: wrappers of lists, raw values, times, quantities.
    referred = {word for line in lines for word in [line.split("\t")[-1].lstrip("[{")] if word.startswith("@")}
    for full in sorted(name[1:] for name in referred):
        if full not in done and full in pb:
            lines.append(f"T\t{full}")
            for name, tag, prefix, form in pb[full]:
                lines.append(f"{name}\t{tag}\t{prefix}{form}")
    print("\n".join(lines))
    for name in missing:
        print(f"no JSON field for {name}", file=sys.stderr)
    for full in sorted(set(json_types) - set(pb)):
        print(f"no message for {full}", file=sys.stderr)


main()
