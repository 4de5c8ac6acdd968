"""The Python client against a live server: objects, patches, apply, custom kinds, watches, the dynamic client."""

import threading
import time

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
core, apps, rbac = client.CoreV1Api(), client.AppsV1Api(), client.RbacAuthorizationV1Api()
NS = "python"


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ApiException as error:
        assert error.status == status, f"{error.status} instead of {status}: {error.body}"
        return
    raise AssertionError(f"{call.__name__} was not refused")


def until(what, reached):
    for _ in range(200):
        try:
            if reached():
                return
        except ApiException as error:
            if error.status not in (404, 429, 503):
                raise
        time.sleep(0.05)
    raise AssertionError(what)


def objects():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    meta = client.V1ObjectMeta(name="a", labels={"app": "a"})
    made = core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=meta, data={"k": "v"}))
    assert made.metadata.uid and made.metadata.creation_timestamp
    read = core.read_namespaced_config_map("a", NS)
    assert read.data == {"k": "v"}
    read.data["k"] = "w"
    assert core.replace_namespaced_config_map("a", NS, read).data == {"k": "w"}
    refused(409, core.replace_namespaced_config_map, "a", NS, read)
    patched = core.patch_namespaced_config_map("a", NS, {"data": {"k": None, "l": "m"}})
    assert patched.data == {"l": "m"}, patched.data
    refused(409, core.create_namespaced_config_map, NS, client.V1ConfigMap(metadata=meta))
    refused(404, core.read_namespaced_config_map, "none", NS)
    listed = core.list_namespaced_config_map(NS, label_selector="app=a")
    assert [one.metadata.name for one in listed.items] == ["a"]
    gone = core.delete_namespaced_config_map("a", NS)
    # Newer clients give the answer as it came, older ones as an object.
    assert (gone["status"] if isinstance(gone, dict) else gone.status) == "Success", gone
    container = client.V1Container(name="c", image="i")
    labels = {"app": "d"}
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(
        replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    deployment = client.V1Deployment(metadata=client.V1ObjectMeta(name="d"), spec=spec)
    made = apps.create_namespaced_deployment(NS, deployment)
    assert made.spec.strategy.type == "RollingUpdate" and made.spec.template.spec.restart_policy == "Always"
    scale = apps.read_namespaced_deployment_scale("d", NS)
    scale.spec.replicas = 5
    apps.replace_namespaced_deployment_scale("d", NS, scale)
    assert apps.read_namespaced_deployment("d", NS).spec.replicas == 5
    spec.selector = client.V1LabelSelector(match_labels={"app": "other"})
    refused(422, apps.create_namespaced_deployment, NS, deployment)
    pages, token = 0, None
    for number in range(5):
        core.create_namespaced_secret(NS, client.V1Secret(metadata=client.V1ObjectMeta(name=f"s{number}")))
    while True:
        page = core.list_namespaced_secret(NS, limit=2, _continue=token)
        pages, token = pages + 1, page.metadata._continue
        if not token:
            break
    assert pages == 3, pages
    assert len(client.ApisApi().get_api_versions().groups) > 15
    assert client.VersionApi().get_code().major == "1"
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace=NS)
        )
    )
    assert client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed


def watches():
    version = core.list_namespaced_config_map(NS).metadata.resource_version
    seen = []

    def follow():
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, NS, resource_version=version, timeout_seconds=30
        )
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 3:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    core.create_namespaced_config_map(NS, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="w")))
    core.patch_namespaced_config_map("w", NS, {"data": {"a": "b"}})
    core.delete_namespaced_config_map("w", NS)
    thread.join(30)
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")], seen


def custom_kinds():
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "minimum": 1, "default": 3}}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.python.example.com"},
        "spec": {"group": "python.example.com", "scope": "Namespaced",
                 "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
                 "versions": [{"name": "v1", "served": True, "storage": True,
                               "schema": {"openAPIV3Schema": schema}}]}}
    client.ApiextensionsV1Api().create_custom_resource_definition(definition)
    custom = client.CustomObjectsApi()
    own = ("python.example.com", "v1", NS, "boats")
    until("the kind is served", lambda: custom.list_namespaced_custom_object(*own) is not None)
    boat = {"apiVersion": "python.example.com/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {}}
    assert custom.create_namespaced_custom_object(*own, boat)["spec"]["size"] == 3
    bad = dict(boat, metadata={"name": "c"}, spec={"size": 0})
    refused(422, custom.create_namespaced_custom_object, *own, bad)
    assert custom.patch_namespaced_custom_object(*own, "b", {"spec": {"size": 9}})["spec"]["size"] == 9


def dynamic_client():
    dyn = dynamic.DynamicClient(client.ApiClient())
    maps = dyn.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dyn", "namespace": NS}, "data": {"a": "1"}}
    applied = maps.server_side_apply(body=body, namespace=NS, field_manager="one")
    assert applied.metadata.managedFields[0].operation == "Apply"
    body["data"]["a"] = "2"
    try:
        maps.server_side_apply(body=body, namespace=NS, field_manager="two")
        raise AssertionError("a conflict was not told")
    except dynamic.exceptions.ConflictError:
        pass
    forced = maps.server_side_apply(body=body, namespace=NS, field_manager="two", force_conflicts=True)
    assert forced.data.a == "2"
    assert maps.get(name="dyn", namespace=NS).data.a == "2"
    boats = dyn.resources.get(api_version="python.example.com/v1", kind="Boat")
    assert [one.metadata.name for one in boats.get(namespace=NS).items] == ["b"]


for step in (objects, watches, custom_kinds, dynamic_client):
    step()
    print(f"{step.__name__} passed")
print("all steps passed")
