//! Which devices a cgroup may use under cgroup v2: a small program in the kernel, attached to the folder.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::low::cgroup::DeviceRule;

/// One eBPF instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61; // dst = *(u32 *)(src + offset)
const AND_IMMEDIATE: u8 = 0x54; // 32 bits
const SHIFT_RIGHT: u8 = 0x74; // 32 bits
const MOVE_REGISTER: u8 = 0xbc; // 32 bits
const MOVE_IMMEDIATE: u8 = 0xb7;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// The program: what no rule allows is refused. The context is `{ access_type << 16 | type, major, minor }`.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let one = |code, registers, offset, immediate| Instruction { code, registers, offset, immediate };
    let mut program = vec![
        one(LOAD_WORD, 0x12, 0, 0),
        one(AND_IMMEDIATE, 0x02, 0, 0xffff),
        one(LOAD_WORD, 0x13, 0, 0),
        one(SHIFT_RIGHT, 0x03, 0, 16),
        one(LOAD_WORD, 0x14, 4, 0),
        one(LOAD_WORD, 0x15, 8, 0),
    ];
    for rule in rules {
        let mut block = Vec::new();
        let kind = match rule.kind {
            'b' => Some(1),
            'c' => Some(2),
            _ => None,
        };
        if let Some(kind) = kind {
            block.push(one(JUMP_NOT_EQUAL, 0x02, 0, kind));
        }
        let bits = [('m', 1), ('r', 2), ('w', 4)];
        let access =
            bits.iter().filter(|(letter, _)| rule.access.contains(*letter)).map(|(_, bit)| bit).sum::<i32>();
        if access != 7 {
            // r1 = r3 & access; r1 != r3: more is asked than the rule gives.
            block.push(one(MOVE_REGISTER, 0x31, 0, 0));
            block.push(one(AND_IMMEDIATE, 0x01, 0, access));
            block.push(one(JUMP_NOT_EQUAL_REGISTER, 0x31, 0, 0));
        }
        for (register, number) in [(0x04, rule.major), (0x05, rule.minor)] {
            if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
                block.push(one(JUMP_NOT_EQUAL, register, 0, number));
            }
        }
        block.push(one(MOVE_IMMEDIATE, 0x00, 0, 1));
        block.push(one(EXIT, 0, 0, 0));
        let end = i16::try_from(block.len()).expect("a rule has fewer than ten instructions");
        for (at, instruction) in (0_i16..).zip(block.iter_mut()) {
            if matches!(instruction.code, JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER) {
                instruction.offset = end - at - 1;
            }
        }
        program.extend(block);
    }
    program.extend([one(MOVE_IMMEDIATE, 0x00, 0, 0), one(EXIT, 0, 0, 0)]);
    program
}

#[repr(C)]
struct LoadArguments {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachArguments {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Allows a cgroup these devices and no others. Replaces nothing: call it once per cgroup.
pub(crate) fn attach(cgroup: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    const LOAD: libc::c_int = 5;
    const ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE_PROGRAM: u32 = 15;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let instructions = program(rules);
    let folder = std::fs::File::open(cgroup)?;
    let load = LoadArguments {
        program_type: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the arguments have the layout of the call, and what they point at lives across it.
    let raw = unsafe { libc::syscall(libc::SYS_bpf, LOAD, &raw const load, size_of::<LoadArguments>()) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call gave a new descriptor.
    let loaded = unsafe { OwnedFd::from_raw_fd(raw) };
    let number = |raw: i32| u32::try_from(raw).expect("descriptors are not negative");
    let attach = AttachArguments {
        target: number(folder.as_raw_fd()),
        program: number(loaded.as_raw_fd()),
        attach_type: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: as above.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, ATTACH, &raw const attach, size_of::<AttachArguments>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_of_a_rule_lead_to_the_next_one() {
        let rule = DeviceRule { kind: 'c', major: Some(1), minor: Some(3), access: "rw".into() };
        let program = program(std::slice::from_ref(&rule));
        // Six loads; then kind, three for access, major, minor, two to allow; two to refuse.
        assert_eq!(program.len(), 6 + 8 + 2);
        assert_eq!(program[6].offset, 7);
        assert_eq!(program[9].offset, 4);
        assert_eq!((program[10].offset, program[11].offset), (3, 2));
    }

    #[test]
    fn the_kernel_takes_the_program() {
        let unified = Path::new("/sys/fs/cgroup/unified");
        let base = if unified.is_dir() { unified } else { Path::new("/sys/fs/cgroup") };
        let folder = base.join(format!("trireme-device-test-{}", std::process::id()));
        if !base.join("cgroup.procs").exists() || std::fs::create_dir(&folder).is_err() {
            println!("SKIPPED: no writable cgroup v2 hierarchy");
            return;
        }
        let outcome = attach(&folder, &crate::low::cgroup::default_devices());
        std::fs::remove_dir(&folder).unwrap();
        outcome.unwrap();
    }
}
