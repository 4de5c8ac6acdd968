//! Randomness from the operating system, for seeds and ids.

/// 64 random bits. Before the system has any randomness to give, the process id and the time stand in: nothing here
/// guards a secret.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_le_bytes(bytes),
        _ => {
            let since =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            (u64::from(since.subsec_nanos()) << 32)
                ^ since.as_secs()
                ^ u64::from(std::process::id()).rotate_left(48)
        }
    }
}
