//! Creates and the end of their namespace.

use serde_json::json;
use trireme_apiserver::client::{Place, Resource};

use super::kit::{Api, post_in};

const NAMESPACES: Resource<'static> = Resource { group: "", version: "v1", resource: "namespaces" };
const MAPS: Resource<'static> = Resource { group: "", version: "v1", resource: "configmaps" };
/// Namespaces that live and end.
const ROUNDS: usize = 12;
/// Clients that create in each.
const CLIENTS: usize = 8;

/// A create that was admitted while its namespace lived and came to the store after its end left an object nowhere.
#[test]
fn nothing_is_created_in_a_namespace_that_ended() {
    Api::start().run(async |api| {
        let admin = api.admin();
        for round in 0..ROUNDS {
            let name = format!("n{round}");
            let space = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
            admin.create(NAMESPACES, Place::default(), &space).await.unwrap();
            let mut clients = tokio::task::JoinSet::new();
            for client in 0..CLIENTS {
                let (handler, name) = (api.handler.clone(), name.clone());
                clients.spawn(async move {
                    let mut made = 0;
                    while post_in(&handler, "admin", &name, &format!("m{client}-{made}")).await == 201 {
                        made += 1;
                    }
                    made
                });
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let place = Place { name: &name, ..Place::default() };
            admin.delete(NAMESPACES, place, &json!({})).await.unwrap();
            let target = format!("/api/v1/namespaces/{name}/configmaps");
            assert_eq!(api.ask("admin", "DELETE", &target, "").await.status, 200);
            let left = admin.list(MAPS, &name, &[]).await.unwrap().items.len();
            assert_eq!(left, 0, "what is emptied once stays empty");
            let mut space = admin.get(NAMESPACES, place).await.unwrap();
            space["spec"]["finalizers"] = json!([]);
            admin.update(NAMESPACES, Place { subresource: "finalize", ..place }, &space).await.unwrap();
            let made: usize = clients.join_all().await.into_iter().sum();
            assert!(made > 0, "nobody created anything");
            assert_eq!(admin.list(MAPS, &name, &[]).await.unwrap().items.len(), 0, "round {round}");
            assert_eq!(admin.get(NAMESPACES, place).await.unwrap_err().code, 404);
        }
    });
}
