// The JavaScript client against a live server: objects, patches, apply, informers, custom kinds.
import assert from 'node:assert/strict';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'javascript';

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}

async function until(what, reached) {
  for (let round = 0; round < 200; round += 1) {
    try {
      if (await reached()) return;
    } catch (error) {
      if (![404, 429, 503].includes(error.code)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(what);
}

async function objects() {
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const body = { metadata: { name: 'a', labels: { app: 'a' } }, data: { k: 'v' } };
  const made = await core.createNamespacedConfigMap({ namespace, body });
  assert.ok(made.metadata.uid);
  made.data.k = 'w';
  const replaced = await core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made });
  assert.equal(replaced.data.k, 'w');
  await refused(409, () => core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }));
  await refused(404, () => core.readNamespacedConfigMap({ name: 'none', namespace }));
  const merge = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);
  const patched = await core.patchNamespacedConfigMap({ name: 'a', namespace, body: { data: { l: 'm' } } }, merge);
  assert.deepEqual(patched.data, { k: 'w', l: 'm' });
  const listed = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=a' });
  assert.deepEqual(listed.items.map((one) => one.metadata.name), ['a']);
  await core.deleteNamespacedConfigMap({ name: 'a', namespace });
  const labels = { app: 'd' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const spec = { replicas: 2, selector: { matchLabels: labels }, template };
  const deployment = await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: 'd' }, spec } });
  assert.equal(deployment.spec.strategy.type, 'RollingUpdate');
}

async function informers() {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const list = () => core.listNamespacedConfigMap({ namespace });
  const informer = k8s.makeInformer(config, path, list);
  const seen = [];
  for (const kind of ['add', 'update', 'delete']) {
    informer.on(kind, (object) => seen.push(`${kind} ${object.metadata.name}`));
  }
  let stopped = false;
  // A stop is told as an error by newer clients: the watch was aborted.
  informer.on('error', (error) => { if (!stopped) throw error; });
  await informer.start();
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'w' }, data: { a: '1' } } });
  const merge = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);
  await core.patchNamespacedConfigMap({ name: 'w', namespace, body: { data: { a: '2' } } }, merge);
  await core.deleteNamespacedConfigMap({ name: 'w', namespace });
  await until('the informer sees everything', async () => seen.includes('delete w'));
  stopped = true;
  await informer.stop();
  assert.deepEqual(seen.filter((one) => one.endsWith(' w')), ['add w', 'update w', 'delete w']);
}

async function apply() {
  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace }, data: { a: '1' } };
  const strategy = k8s.PatchStrategy.ServerSideApply;
  const first = await objects.patch(body, undefined, undefined, 'one', undefined, strategy);
  assert.equal(first.metadata.managedFields[0].operation, 'Apply');
  body.data.a = '2';
  await refused(409, () => objects.patch(body, undefined, undefined, 'two', undefined, strategy));
  const forced = await objects.patch(body, undefined, undefined, 'two', true, strategy);
  assert.equal(forced.data.a, '2');
}

async function customKinds() {
  const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
  const schema = {
    type: 'object',
    properties: { spec: { type: 'object', properties: { size: { type: 'integer', minimum: 1 } } } },
  };
  const group = 'javascript.example.com';
  await extensions.createCustomResourceDefinition({
    body: {
      metadata: { name: `boats.${group}` },
      spec: {
        group, scope: 'Namespaced', names: { plural: 'boats', singular: 'boat', kind: 'Boat' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
      },
    },
  });
  const custom = config.makeApiClient(k8s.CustomObjectsApi);
  const own = { group, version: 'v1', namespace, plural: 'boats' };
  await until('the kind is served', async () => Boolean(await custom.listNamespacedCustomObject(own)));
  const boat = (name, size) => ({ apiVersion: `${group}/v1`, kind: 'Boat', metadata: { name }, spec: { size } });
  await custom.createNamespacedCustomObject({ ...own, body: boat('b', 4) });
  await refused(422, () => custom.createNamespacedCustomObject({ ...own, body: boat('c', 0) }));
  const listed = await custom.listNamespacedCustomObject(own);
  assert.deepEqual(listed.items.map((one) => one.spec.size), [4]);
}

for (const step of [objects, informers, apply, customKinds]) {
  await step();
  console.log(`${step.name} passed`);
}
console.log('all steps passed');
process.exit(0);
