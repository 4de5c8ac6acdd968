#!/usr/bin/env python3
"""Writes types.tsv: the structure of every built-in type, from the sources of the k8s-openapi crate.

    python3 generate.py <k8s-openapi source folder> <openapi-lists.tsv> > types.tsv

The crate's JSON schemas give fields and scalar types, its merge code gives list semantics, and openapi-lists.tsv
(what a real server publishes) wins over both where it knows a field. go_shape.txt adds what no schema says: which
optional scalars the upstream server keeps when they are explicitly zero ("*"), and which optional structs it always
prints (".").

One line per type ("T", name), then one per field: name, type, flags separated by spaces.
Types: s string, i int32, I int64, f number, b boolean, B base64 bytes, q quantity, t time, m microtime,
x int-or-string, j any JSON, [T list, {T map, @name another type.
Flags: ! required, * keeps zero, . struct always printed, atomic, set, map=k1,k2, granular, merge, merge=key,
retain (retainKeys), replace, def:key=value for defaults of list-map keys, nn (never prints null when absent).
"""
import re
import sys
from pathlib import Path

PREFIX = {
    "api": "io.k8s.api",
    "apimachinery": "io.k8s.apimachinery",
    "apiextensions_apiserver": "io.k8s.apiextensions-apiserver",
    "kube_aggregator": "io.k8s.kube-aggregator",
}
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "x",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "t",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "m",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "j",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "j",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "j",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "j",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "j",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "j",
}


def reference(path):
    """crate::api::core::v1::Container -> io.k8s.api.core.v1.Container"""
    parts = path.split("::")
    assert parts[0] == "crate", path
    return ".".join([PREFIX[parts[1]]] + parts[2:])


def tokens(text):
    return re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][\w:]*|[{}\[\]():;,<>=.!&]|-?\d+(?:\.\d+)?', text)


class Parser:
    def __init__(self, toks):
        self.toks, self.at = toks, 0

    def peek(self):
        return self.toks[self.at]

    def take(self):
        self.at += 1
        return self.toks[self.at - 1]

    def value(self):
        t = self.take()
        if t == "{":
            out = {}
            while self.peek() != "}":
                key = self.take().strip('"')
                assert self.take() == ":", (key, self.toks[self.at - 3 : self.at + 5])
                out[key] = self.value()
                if self.peek() == ",":
                    self.take()
            self.take()
            return out
        if t == "[":
            out = []
            while self.peek() != "]":
                out.append(self.value())
                if self.peek() == ",":
                    self.take()
            self.take()
            return out
        if t == "(":  # an embedded Rust expression: only the type it names matters
            depth, inner = 1, []
            while depth:
                t = self.take()
                depth += (t == "(") - (t == ")")
                inner.append(t)
            named = [x for x in inner if x.startswith("crate::") and "schemars" not in x]
            assert len(named) == 1, inner
            return {"$ref": reference(named[0])}
        if t == "__gen":
            named = None
            while (t := self.take()) != ")":
                named = t if t.startswith("crate::") else named
            return {"$ref": reference(named)}
        return {"true": True, "false": False}.get(t, t.strip('"'))


def kind_of(schema):
    if "$ref" in schema:
        ref = schema["$ref"]
        return SPECIAL.get(ref) or "@" + ref.removeprefix("io.k8s.")
    if schema.get("x-kubernetes-int-or-string"):
        return "x"
    t = schema.get("type")
    if t == "string":
        return {"byte": "B", "date-time": "t"}.get(schema.get("format"), "s")
    if t == "integer":
        return "i" if schema.get("format") == "int32" else "I"
    if t == "number":
        return "f"
    if t == "boolean":
        return "b"
    if t == "array":
        return "[" + kind_of(schema["items"])
    if t == "object":
        if "additionalProperties" in schema:
            return "{" + kind_of(schema["additionalProperties"])
        return "j"
    return "j"


def rust_names(source):
    """Rust field name -> wire name, from the crate's own table of keys."""
    fields = dict(re.findall(r'"([^"]+)" => Field::Key_(\w+),', source))
    return {rust.rstrip("_"): wire for wire, rust in fields.items()}


def snake(name):
    return name.removeprefix("r#").rstrip("_")


def merges(source, names):
    out = {}
    for m in re.finditer(r"merge_strategies::(list|map)::(\w+)\(\s*&mut self\.(\w+),(.*?)(?=crate::merge_strategies|\n    }\n)", source, re.S):
        what, how, field, rest = m.groups()
        wire = names.get(snake(field), field)
        if what == "list" and how == "map":
            keys = re.search(r"&\[(.*?)\],\n", rest, re.S).group(1)
            out[wire] = "map=" + ",".join(snake_to_wire(k) for k in re.findall(r"lhs\.(\w+) ==", keys))
        elif how == "set":
            out[wire] = "set"
        elif what == "map" and how == "atomic":
            out[wire] = "atomic"
    return out


def snake_to_wire(name):
    parts = snake(name).split("_")
    return parts[0] + "".join(p.capitalize() for p in parts[1:])


def main():
    src = Path(sys.argv[1]) / "src" / "v1_35"
    known, types_known, struct_atomic = {}, set(), set()
    for line in Path(sys.argv[2]).read_text().splitlines()[1:]:
        schema, field, _t, lt, keys, defaults, mt, strategy, merge = (line.split("\t") + [""] * 9)[:9]
        types_known.add(schema)
        if field == "(itself)":
            struct_atomic.add(schema)
            continue
        flags = []
        if lt == "map":
            flags.append("map=" + keys)
            flags += ["def:" + d.replace('"', "") for d in defaults.split(",") if d and not d.endswith('=""')]
        elif lt:
            flags.append(lt)
        if mt:
            flags.append(mt)
        if "merge" in strategy.split(","):
            flags.append("merge=" + merge if merge else "merge")
        if "retainKeys" in strategy:
            flags.append("retain")
        if "replace" in strategy:
            flags.append("replace")
        known[schema, field] = flags
    shape = {}
    for line in (Path(__file__).parent / "go_shape.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            owner, rest = line.split(":", 1)
            for word in rest.split():
                shape.setdefault((owner.strip(), word.lstrip("*.?!+")), []).append(word[0])
    types = {}
    for path in sorted(src.rglob("*.rs")):
        source = path.read_text()
        name = re.search(r'fn schema_name\(\)[^{]*\{\s*"([^"]+)"', source)
        start = source.find("json_schema!({")
        if not name or start < 0:
            continue
        name = name.group(1)
        if name in SPECIAL or name.endswith("List") and '"items"' in source[start:] and '"metadata"' in source[start:]:
            continue
        body = source[start + len("json_schema!(") :]
        schema = Parser(tokens(body)).value()
        names = rust_names(source)
        types[name] = (schema, merges(source, names))
    used = set()
    for name, (schema, merge) in sorted(types.items()):
        short = name.removeprefix("io.k8s.")
        atomic = name in struct_atomic or (short, "(itself)") in shape
        print("T", short, "atomic" if atomic else "", sep="\t")
        required = schema.get("required", [])
        for field, sub in sorted(schema.get("properties", {}).items()):
            flags = ["!"] if field in required else []
            base = short.rsplit(".", 1)[1]
            for owner in (short, base):
                for mark in shape.get((owner, field), []):
                    used.add((owner, field))
                    if mark == "?":
                        flags = [f for f in flags if f != "!"]
                    elif mark in "*.+":
                        flags.append(mark)
                    elif mark == "!":
                        flags.append("!")
            if (name, field) in known:
                flags += known[name, field]
            elif field in merge and name not in struct_atomic:
                flags.append(merge[field])
                if merge[field].startswith("map=") and "api.resource." not in name:
                    flags.append("merge=" + merge[field][4:].split(",")[0])
            kind = kind_of(sub)
            extra = EXTRA.get((short, field))
            print(field, extra or kind, " ".join(flags), sep="\t")
    for key in sorted(set(shape) - used):
        if key[1] != "(itself)":
            print("unused in go_shape.txt:", key, file=sys.stderr)


EXTRA = {
    ("apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceValidation", "openAPIV3Schema"): None,
}

if __name__ == "__main__":
    main()
