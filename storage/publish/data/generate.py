#!/usr/bin/env python3
"""Writes descriptions.bin and columns.tsv.

    python3 generate.py <k8s-openapi source folder> <table-columns.tsv>

descriptions.bin is zlib-packed text, one line per description: type, field (empty for the type itself), text with
backslash escapes. The texts are the API documentation that the k8s-openapi crate (Apache-2.0) carries as data; types
are those of ../../schema/data/types.tsv and the fixed ones below.

columns.tsv holds the columns of the Tables: first the texts ("T", number, text), then one line per column: group,
version, kind, name, type, format, priority, number of its text. Kinds that the recorded columns lack are added from
EXTRA, where a text starting with @ names the type and field whose description it is.
"""
import re
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).parent
LIST_TYPES = {"api": "io.k8s.api"}

NAME = ("Name", "string", "name", 0, "@apimachinery.pkg.apis.meta.v1.ObjectMeta.name")
AGE = ("Age", "string", "", 0, "@apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp")
AR = "api.admissionregistration.v1."
PARAM_KIND = "ParamKind specifies the kind of resources used to parameterize this policy"
POLICY_NAME = "PolicyName indicates the policy definition which the policy binding binded to"
PARAM_REF = "ParamRef indicates the param resource which sets the configration param"
EXTRA = {
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy"): [
        NAME,
        ("Validations", "integer", "", 0, "Validations indicates the number of validation rules defined in this configuration"),
        ("ParamKind", "string", "", 0, PARAM_KIND),
        AGE,
    ],
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding"): [
        NAME,
        ("PolicyName", "string", "", 0, POLICY_NAME),
        ("ParamRef", "string", "", 0, PARAM_REF),
        AGE,
    ],
    ("admissionregistration.k8s.io", "v1beta1", "MutatingAdmissionPolicy"): [
        NAME,
        ("Mutations", "integer", "", 0, "Mutation indicates the number of mutations rules defined in this configuration"),
        ("ParamKind", "string", "", 0, PARAM_KIND),
        AGE,
    ],
    ("admissionregistration.k8s.io", "v1beta1", "MutatingAdmissionPolicyBinding"): [
        NAME,
        ("PolicyName", "string", "", 0, POLICY_NAME),
        ("ParamRef", "string", "", 0, PARAM_REF),
        AGE,
    ],
    ("networking.k8s.io", "v1", "IPAddress"): [
        NAME,
        ("ParentRef", "string", "", 0, "@api.networking.v1.IPAddressSpec.parentRef"),
    ],
    ("networking.k8s.io", "v1", "ServiceCIDR"): [
        NAME,
        ("CIDRs", "string", "", 0, "@api.networking.v1.ServiceCIDRSpec.cidrs"),
        AGE,
    ],
    ("storage.k8s.io", "v1", "VolumeAttributesClass"): [
        NAME,
        ("DriverName", "string", "", 0, "@api.storage.v1.VolumeAttributesClass.driverName"),
        AGE,
    ],
    ("certificates.k8s.io", "v1beta1", "ClusterTrustBundle"): [
        NAME,
        ("SignerName", "string", "", 0, "@api.certificates.v1beta1.ClusterTrustBundleSpec.signerName"),
    ],
    ("resource.k8s.io", "v1", "DeviceClass"): [NAME, AGE],
    ("resource.k8s.io", "v1", "ResourceClaim"): [
        NAME,
        ("State", "string", "", 0, "A summary of the current state (allocated, pending, reserved, etc.)."),
        AGE,
    ],
    ("resource.k8s.io", "v1", "ResourceClaimTemplate"): [NAME, AGE],
    ("resource.k8s.io", "v1", "ResourceSlice"): [
        NAME,
        ("Node", "string", "", 0, "@api.resource.v1.ResourceSliceSpec.nodeName"),
        ("Driver", "string", "", 0, "@api.resource.v1.ResourceSliceSpec.driver"),
        ("Pool", "string", "", 0, "@api.resource.v1.ResourcePool.name"),
        AGE,
    ],
    ("autoscaling", "v1", "Scale"): [
        ("Name", "string", "", 0, NAME[4]),
        ("Desired", "integer", "", 0, "@api.autoscaling.v1.ScaleSpec.replicas"),
        ("Available", "integer", "", 0, "@api.autoscaling.v1.ScaleStatus.replicas"),
        AGE,
    ],
    ("meta.k8s.io", "v1", "Status"): [
        ("Status", "string", "", 0, "@apimachinery.pkg.apis.meta.v1.Status.status"),
        ("Reason", "string", "", 0, "@apimachinery.pkg.apis.meta.v1.Status.reason"),
        ("Message", "string", "", 0, ""),
    ],
}
# Columns that releases after the recorded one have: kind, the column it follows, the column.
NEWER = [
    ("batch", "v1", "Job", "Name", ("Status", "string", "", 0, "Status of the job.")),
    ("batch", "v1", "CronJob", "Schedule", ("Timezone", "string", "", 0, "@api.batch.v1.CronJobSpec.timeZone")),
    ("", "v1", "PersistentVolume", "StorageClass", ("VolumeAttributesClass", "string", "", 0, "VolumeAttributesClass of the pv")),
    ("", "v1", "PersistentVolumeClaim", "StorageClass", ("VolumeAttributesClass", "string", "", 0, "VolumeAttributesClass of the pvc")),
    ("scheduling.k8s.io", "v1", "PriorityClass", "Age", ("PreemptionPolicy", "string", "", 0, "@api.scheduling.v1.PriorityClass.preemptionPolicy")),
]


def unquote(text):
    return bytes(text[1:-1], "utf-8").decode("unicode_escape").encode("latin-1", "surrogatepass").decode("utf-8")


STRING = r'"(?:[^"\\]|\\.)*"'


def descriptions(source):
    """(field or "", text) of one source file of the crate."""
    start = source.find("json_schema!({")
    if start < 0:
        return
    depth, at = 0, source.index("{", start)
    field = None
    for m in re.finditer(STRING + r"(\s*:)?|[{}]", source[at:]):
        t = m.group(0)
        if t == "{":
            depth += 1
        elif t == "}":
            depth -= 1
            if depth == 0:
                return
        elif m.group(1):
            key = unquote(t[: -len(m.group(1))])
            if depth == 1 and key == "description":
                yield "", unquote(re.match(r"\s*(" + STRING + ")", source[at + m.end() :]).group(1))
            elif depth == 2:
                field = key
            elif depth == 3 and key == "description":
                yield field, unquote(re.match(r"\s*(" + STRING + ")", source[at + m.end() :]).group(1))
        elif t == '"description"':
            rest = re.match(r'\.into\(\),\s*(' + STRING + ")", source[at + m.end() :])
            if rest and field:
                yield field, unquote(rest.group(1))


def wanted():
    types = (HERE / "../../schema/data/types.tsv").read_text()
    return {line.split("\t")[1] for line in types.splitlines() if line.startswith("T\t")}


def main():
    src = Path(sys.argv[1]) / "src" / "v1_35"
    keep = wanted()
    texts = {}
    for path in sorted(src.rglob("*.rs")):
        source = path.read_text()
        name = re.search(r'fn schema_name\(\)[^{]*\{\s*"([^"]+)"', source)
        if not name:
            continue
        short = name.group(1).removeprefix("io.k8s.")
        single = short[:-4] if short.endswith("List") else ""
        special = short.startswith(("apimachinery.", "apiextensions-apiserver."))
        if short not in keep and single not in keep and not special:
            continue
        for field, text in descriptions(source):
            texts.setdefault((short, field), text)
    lines = []
    for (owner, field), text in sorted(texts.items()):
        text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "")
        lines.append(f"{owner}\t{field}\t{text}\n")
    packed = zlib.compress("".join(lines).encode(), 9)
    (HERE / "descriptions.bin").write_bytes(packed)
    print(len(lines), "descriptions,", sum(map(len, lines)), "bytes, packed", len(packed))
    columns(Path(sys.argv[2]).read_text(), texts)


def columns(recorded, texts):
    def text_of(text):
        if text.startswith("@"):
            owner, field = text[1:].rsplit(".", 1)
            return texts[owner, field]
        return text

    kinds = {}
    for line in recorded.splitlines()[1:]:
        group, version, kind, _index, name, kind_type, form, priority, text = line.split("\t")
        if group == "flowcontrol.apiserver.k8s.io":
            version = {"v1beta3": "v1"}.get(version)
        if version:
            kinds.setdefault((group, version, kind), []).append((name, kind_type, form, int(priority), text))
    kinds.update(EXTRA)
    numbers, rows = {}, []
    row = lambda key, c, newer: rows.append("\t".join([*key, c[0], c[1], c[2], str(c[3]), str(number(c[4])), newer]))

    def number(text):
        return numbers.setdefault(text_of(text).replace("\\n", "\n").replace("\n", "\\n"), len(numbers))

    for key, cs in kinds.items():
        for c in cs:
            row(key, c, "")
            for *where, after, column in NEWER:
                if tuple(where) == key and after == c[0]:
                    row(key, column, "newer")
    out = [f"T\t{n}\t{t}" for t, n in numbers.items()] + rows
    (HERE / "columns.tsv").write_text("\n".join(out) + "\n")
    print(len(rows), "columns")


if __name__ == "__main__":
    main()
