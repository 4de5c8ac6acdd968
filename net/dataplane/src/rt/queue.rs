use super::{Routing, gone_is_fine};
use crate::NetError;
use crate::netlink::{Message, flags};

const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const TBF_PARAMETERS: u16 = 1;
const TBF_RATE64: u16 = 4;
const TBF_BURST: u16 = 6;

const ROOT: u32 = 0xffff_ffff;
/// Packets wait at most this long for their turn, then they are dropped.
const LATENCY_MS: u64 = 50;
/// Smallest bucket: one large segment of an offloading sender.
const BURST_FLOOR_BYTES: u64 = 64 * 1024;
/// `psched` ticks last 64 ns.
const TICK_NS: u64 = 64;

impl Routing {
    /// Limits what leaves through a link to `bits` per second (a token bucket).
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_rate(&mut self, link: u32, bits: u64) -> Result<(), NetError> {
        let bytes = (bits / 8).max(1);
        // A hundredth of a second's worth, but never less than one segment.
        let burst = (bytes / 100).clamp(BURST_FLOOR_BYTES, 16 << 20);
        let limit = burst + bytes * LATENCY_MS / 1000;
        let make = Message::new(NEWQDISC, flags::CREATE | flags::REPLACE)
            .raw(&header(link, 0x0001_0000))
            .text(KIND, "tbf")
            .nested(OPTIONS, |options| {
                options
                    .bytes(TBF_PARAMETERS, &parameters(bytes, burst, limit))
                    .bytes(TBF_RATE64, &bytes.to_ne_bytes())
                    .u32(TBF_BURST, u32::try_from(burst).expect("clamped to 16 MiB"))
            });
        self.socket.request(make, &format!("rate of link {link}"))
    }

    /// Takes the limit away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn clear_rate(&mut self, link: u32) -> Result<(), NetError> {
        let remove = Message::new(DELQDISC, 0).raw(&header(link, 0));
        match gone_is_fine(self.socket.request(remove, &format!("rate of link {link}: remove"))) {
            // What stands when nothing was set cannot be removed.
            Err(NetError::Refused { errno, .. }) if errno == rustix::io::Errno::INVAL.raw_os_error() => {
                Ok(())
            }
            other => other,
        }
    }
}

/// `struct tc_tbf_qopt`: two rate specifications of 12 bytes, then limit, buffer and MTU.
fn parameters(bytes: u64, burst: u64, limit: u64) -> Vec<u8> {
    const ETHERNET: u8 = 1;
    let short = u32::try_from(bytes).unwrap_or(u32::MAX);
    let buffer = burst.saturating_mul(1_000_000_000) / bytes / TICK_NS;
    let mut rate = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
    rate.extend_from_slice(&short.to_ne_bytes());
    let mut whole = rate;
    whole.extend_from_slice(&[0; 12]);
    for value in [limit, buffer, 0] {
        whole.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_ne_bytes());
    }
    whole
}

fn header(link: u32, handle: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[4..8].copy_from_slice(&link.to_ne_bytes());
    bytes[8..12].copy_from_slice(&handle.to_ne_bytes());
    bytes[12..16].copy_from_slice(&ROOT.to_ne_bytes());
    bytes
}
