//! The look-alike of EESSI does what EESSI does: what other tests conclude from it rests on this.

use std::process::Command;

use crate::common::{TestEnv, as_ordinary_user, lookalike};

/// A bash that has read the look-alike's init; `None` if there is no look-alike.
fn session(env: &TestEnv, text: &str) -> Option<Command> {
    let init = lookalike()?.join("init/bash");
    let mut command = env.command("bash");
    command.args([
        "--norc",
        "--noprofile",
        "-c",
        &format!("source {} >/dev/null\n{text}", init.display()),
    ]);
    Some(command)
}

#[test]
fn its_programs_run_for_an_ordinary_user() {
    let env = TestEnv::new();
    let text = "module load MiniSim\nminisim\nwhichtarget\npython -c 'import numpy; print(numpy.linalg.inv(numpy.eye(2) * 2).sum())'";
    let Some(command) = session(&env, text) else { return };
    let Some(mut command) = as_ordinary_user(&command) else { return };
    let shown = env.run(&mut command).success();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].ends_with(" J0(1)=0.765198 dot=30"), "{shown}");
    assert!(lines[1].starts_with("WhichTarget x86_64/"), "{shown}");
    assert_eq!(lines[2], "1.0");
}

#[test]
fn every_cpu_target_can_be_chosen() {
    let env = TestEnv::new();
    for target in ["x86_64/generic", "x86_64/intel/haswell", "x86_64/amd/zen3"] {
        let text = "module load WhichTarget && whichtarget; module is-avail TunedOnly; echo $?";
        let Some(mut command) = session(&env, text) else { return };
        let shown = env.run(command.env("EESSI_SOFTWARE_SUBDIR_OVERRIDE", target)).success();
        let tuned = i32::from(target == "x86_64/generic");
        assert_eq!(shown, format!("WhichTarget {target}\n{tuned}\n"));
    }
}

#[test]
fn archdetect_lists_targets_from_best_to_generic() {
    let env = TestEnv::new();
    let Some(prefix) = lookalike() else { return };
    for (vendor, flags, want) in [
        ("GenuineIntel", "fpu avx2 fma", "x86_64/intel/haswell:x86_64/generic"),
        ("AuthenticAMD", "fpu avx2 fma vaes", "x86_64/amd/zen3:x86_64/amd/zen2:x86_64/generic"),
        ("AuthenticAMD", "fpu", "x86_64/generic"),
        ("Other", "avx2 fma", "x86_64/generic"),
    ] {
        let cpuinfo = env.write("cpuinfo", format!("vendor_id\t: {vendor}\nflags\t\t: {flags}\n"));
        let mut command = env.command(prefix.join("init/eessi_archdetect.sh"));
        command
            .args(["-a", "cpupath"])
            .env("EESSI_PROC_CPUINFO", cpuinfo)
            .env("EESSI_MACHINE_TYPE", "x86_64");
        assert_eq!(env.run(&mut command).success().trim_end(), want, "{vendor} {flags}");
    }
}

#[test]
fn what_may_not_be_passed_on_does_not_load() {
    let env = TestEnv::new();
    let Some(mut command) = session(&env, "module load CUDA") else { return };
    let ran = env.run(command.env("EESSI_ACCELERATOR_TARGET_OVERRIDE", "accel/nvidia/cc80"));
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("without the files that its licence keeps back"), "{}", ran.stderr);
}

#[test]
fn nothing_in_it_needs_a_library_of_the_host() {
    let env = TestEnv::new();
    let Some(prefix) = lookalike() else { return };
    let loader = prefix.join("compat/linux/x86_64/lib64/ld-linux-x86-64.so.2");
    let script = "find \"$0\" -type f \\( -perm -100 -o -name '*.so*' \\) -print0 | xargs -0 -n 1 \"$1\" --list 2>/dev/null | grep -E 'not found|=> /(usr/)?lib'";
    let mut command = env.command("bash");
    command.args(["-c", script]).arg(&prefix).arg(loader);
    assert_eq!(env.run(&mut command).stdout, "");
}
