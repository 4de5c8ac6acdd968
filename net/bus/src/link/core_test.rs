use super::*;

fn at(ms: u64) -> Tick {
    Tick::from_millis(ms)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn claim(session: u64, dialed_by: &str) -> Claim {
    Claim { session, dialed_by: dialed_by.into(), peer: "b".into(), peer_instance: 1 }
}

fn link() -> LinkCore {
    let limits = LinkLimits { jitter_percent: 0, ..LinkLimits::default() };
    LinkCore::new("a", limits, 1)
}

fn step(core: &mut LinkCore, now: Tick, input: LinkInput) -> Vec<LinkEffect> {
    let mut out = Vec::new();
    core.step(now, input, &mut out);
    out
}

fn expire(core: &mut LinkCore) -> Vec<LinkEffect> {
    let mut out = Vec::new();
    core.expire(core.deadline().expect("it waits"), &mut out);
    out
}

#[test]
fn it_dials_every_address_in_turn_with_growing_waits() {
    let mut core = link();
    let out = step(&mut core, at(0), LinkInput::Addresses(vec![address(1), address(2)]));
    assert_eq!(out, [LinkEffect::Dial { dial: 1, to: address(1) }]);
    let mut waits = Vec::new();
    for dial in 1..10 {
        assert!(step(&mut core, at(0), LinkInput::DialEnded { dial, failed: true }).is_empty());
        waits.push(core.deadline().expect("it waits").since(at(0)).as_millis());
        let port = if dial % 2 == 1 { 2 } else { 1 };
        assert_eq!(expire(&mut core), [LinkEffect::Dial { dial: dial + 1, to: address(port) }]);
    }
    assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn an_inbound_session_ends_the_dial_and_a_lost_one_starts_it_again() {
    let mut core = link();
    step(&mut core, at(0), LinkInput::Addresses(vec![address(1)]));
    assert_eq!(
        step(&mut core, at(1), LinkInput::Sessions(vec![claim(5, "b")])),
        [LinkEffect::CancelDial { dial: 1 }]
    );
    assert_eq!(core.state(), LinkState::Connected { session: 5 });
    assert!(step(&mut core, at(2), LinkInput::DialEnded { dial: 1, failed: true }).is_empty(), "an old dial");
    assert!(step(&mut core, at(3), LinkInput::Sessions(vec![])).is_empty());
    assert_eq!(core.deadline(), Some(at(53)));
    assert_eq!(expire(&mut core), [LinkEffect::Dial { dial: 2, to: address(1) }]);
}

#[test]
fn of_two_connections_one_is_drained() {
    let mut core = link();
    let out = step(&mut core, at(0), LinkInput::Sessions(vec![claim(1, "b"), claim(2, "a")]));
    assert_eq!(out, [LinkEffect::Drain { session: 1 }]);
    assert_eq!(core.state(), LinkState::Connected { session: 2 });
}

#[test]
fn a_link_without_addresses_waits_for_the_peer() {
    let mut core = link();
    assert!(step(&mut core, at(0), LinkInput::Sessions(vec![])).is_empty());
    step(&mut core, at(0), LinkInput::Sessions(vec![claim(1, "b")]));
    step(&mut core, at(0), LinkInput::Sessions(vec![]));
    assert_eq!((core.state(), core.deadline()), (LinkState::Waiting, None));
}

#[test]
fn new_addresses_are_dialled_at_once() {
    let mut core = link();
    step(&mut core, at(0), LinkInput::Addresses(vec![address(1)]));
    step(&mut core, at(0), LinkInput::DialEnded { dial: 1, failed: true });
    assert!(step(&mut core, at(1), LinkInput::Addresses(vec![address(1)])).is_empty(), "nothing new");
    let out = step(&mut core, at(1), LinkInput::Addresses(vec![address(9)]));
    assert_eq!(out, [LinkEffect::Dial { dial: 2, to: address(9) }]);
    let out = step(&mut core, at(1), LinkInput::Addresses(vec![]));
    assert_eq!(out, [LinkEffect::CancelDial { dial: 2 }]);
    assert_eq!(core.state(), LinkState::Waiting);
}
