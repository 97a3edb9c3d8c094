use super::*;
use crate::stack::Stack;

/// A stack in a temporary directory, and the session's variables.
fn stack(targets: &[&str]) -> (tempfile::TempDir, Variables) {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("cvmfs/other.example");
    let prefix = repository.join("versions/2023.06");
    std::fs::create_dir_all(prefix.join("compat/linux/x86_64")).unwrap();
    for target in targets {
        std::fs::create_dir_all(prefix.join("software/linux").join(target).join("software"))
            .unwrap();
    }
    let session = [
        ("EESSI_PREFIX", format!("{}/", prefix.display())),
        ("EESSI_SOFTWARE_SUBDIR", "x86_64/intel/haswell".to_owned()),
        ("EESSI_CPU_FAMILY", "x86_64".to_owned()),
    ];
    (root, session.map(|(name, value)| (name.to_owned(), value)).into())
}

fn detect(session: &Variables) -> Eessi {
    match Stack::detect(session).unwrap() {
        Stack::Eessi(eessi) => eessi,
        Stack::Site => panic!("an EESSI session"),
    }
}

#[test]
fn a_repository_may_lie_anywhere() {
    let (root, session) = stack(&["x86_64/intel/haswell"]);
    let eessi = detect(&session);
    assert_eq!(eessi.repository, root.path().join("cvmfs/other.example"));
    assert_eq!((eessi.version.as_str(), eessi.os_type.as_str()), ("2023.06", "linux"));
    assert_eq!(eessi.target, "x86_64/intel/haswell");
    assert_eq!(eessi.foreign_layer, None);
    assert!(eessi.compatibility_layer().ends_with("versions/2023.06/compat/linux/x86_64"));
    assert!(!eessi.is_generic());
    assert!(eessi.generic().is_generic());
    assert!(eessi.generic().software().ends_with("software/linux/x86_64/generic"));
}

#[test]
fn a_layer_of_another_repository_is_kept() {
    let (root, mut session) = stack(&["x86_64/intel/haswell"]);
    session.insert("EESSI_EPREFIX".to_owned(), root.path().to_str().unwrap().to_owned());
    assert_eq!(detect(&session).compatibility_layer(), root.path());
}

#[test]
fn a_session_that_contradicts_itself_is_refused() {
    let (root, session) = stack(&["x86_64/intel/haswell"]);
    let with = |name: &str, value: Option<&str>| {
        let mut session = session.clone();
        session.remove(name);
        session.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Stack::detect(&session)
    };
    let outside = root.path().to_str().unwrap();
    assert!(matches!(with("EESSI_PREFIX", None), Ok(Stack::Site)));
    assert!(matches!(with("EESSI_PREFIX", Some("")), Ok(Stack::Site)));
    assert!(matches!(with("EESSI_PREFIX", Some(outside)), Err(StackError::NotAVersion(_))));
    assert!(matches!(with("EESSI_PREFIX", Some("/versions/1")), Err(StackError::NotAVersion(_))));
    assert!(matches!(with("EESSI_PREFIX", Some("/gone/versions/1")), Err(StackError::Gone(_))));
    let missing = with("EESSI_SOFTWARE_SUBDIR", None);
    assert!(matches!(missing, Err(StackError::Unfinished { missing: "EESSI_SOFTWARE_SUBDIR" })));
    assert!(matches!(with("EESSI_SOFTWARE_SUBDIR", Some("../x")), Err(StackError::NotATarget(_))));
    assert!(matches!(with("EESSI_SOFTWARE_SUBDIR", Some("x86_64/gone")), Err(StackError::Gone(_))));
}

#[test]
fn targets_are_directories_with_software_at_either_depth() {
    let (root, session) = stack(&["x86_64/intel/haswell", "x86_64/generic", "x86_64/amd/zen3"]);
    let eessi = detect(&session);
    let software = root.path().join("cvmfs/other.example/versions/2023.06/software/linux");
    std::fs::create_dir_all(software.join("x86_64/amd/zen4/.lmod")).unwrap();
    assert_eq!(eessi.targets(), ["x86_64/amd/zen3", "x86_64/generic", "x86_64/intel/haswell"]);
}

#[test]
fn variables_and_paths_are_those_of_the_init() {
    let eessi = Eessi {
        repository: "/cvmfs/software.eessi.io".into(),
        version: "2025.06-001".to_owned(),
        os_type: "linux".to_owned(),
        cpu_family: "x86_64".to_owned(),
        target: "x86_64/amd/zen3".to_owned(),
        accelerator: Some("accel/nvidia/cc80".to_owned()),
        foreign_layer: None,
    };
    let rows = eessi.variables().into_iter().map(|(name, value)| format!("{name}={value}"));
    let shown = rows.collect::<Vec<_>>().join("\n");
    let shown = shown.replace("/cvmfs/software.eessi.io", "$R");
    insta::assert_snapshot!(shown, @r"
        EESSI_ACCELERATOR_TARGET=accel/nvidia/cc80
        EESSI_ACCEL_SUBDIR=accel/nvidia/cc80
        EESSI_CPU_FAMILY=x86_64
        EESSI_CVMFS_REPO=$R
        EESSI_EPREFIX=$R/versions/2025.06-001/compat/linux/x86_64
        EESSI_INIT_PREFIX=$R/versions/2025.06/init
        EESSI_MODULEPATH=$R/versions/2025.06-001/software/linux/x86_64/amd/zen3/modules/all
        EESSI_MODULEPATH_ACCEL=$R/versions/2025.06-001/software/linux/x86_64/amd/zen3/accel/nvidia/cc80/modules/all
        EESSI_OS_TYPE=linux
        EESSI_PREFIX=$R/versions/2025.06-001
        EESSI_SITE_MODULEPATH=$R/host_injections/2025.06-001/software/linux/x86_64/amd/zen3/modules/all
        EESSI_SITE_SOFTWARE_PATH=$R/host_injections/2025.06-001/software/linux/x86_64/amd/zen3
        EESSI_SOFTWARE_LAYER_VERSION_SUFFIX=-001
        EESSI_SOFTWARE_PATH=$R/versions/2025.06-001/software/linux/x86_64/amd/zen3
        EESSI_SOFTWARE_SUBDIR=x86_64/amd/zen3
        EESSI_USE_ARCHDETECT=1
        EESSI_USE_ARCHSPEC=0
        EESSI_VERSION=2025.06
        EESSI_VERSION_DEFAULT=2025.06
        EPREFIX=$R/versions/2025.06-001/compat/linux/x86_64
        LMOD_CONFIG_DIR=$R/versions/2025.06-001/software/linux/x86_64/amd/zen3/.lmod
        LMOD_PACKAGE_PATH=$R/versions/2025.06-001/software/linux/x86_64/amd/zen3/.lmod
        LMOD_RC=$R/host_injections/2025.06-001/software/linux/x86_64/amd/zen3/.lmod/lmodrc.lua:$R/versions/2025.06-001/software/linux/x86_64/amd/zen3/.lmod/lmodrc.lua
    ");
    let shown = |paths: Vec<PathBuf>| -> Vec<String> {
        paths.iter().map(|p| p.display().to_string()).collect()
    };
    let software = "/cvmfs/software.eessi.io/versions/2025.06-001/software/linux/x86_64/amd/zen3";
    assert_eq!(
        shown(eessi.modulepath()),
        [
            format!("{}/modules/all", software.replace("versions", "host_injections")),
            format!("{software}/accel/nvidia/cc80/modules/all"),
            format!("{software}/modules/all"),
        ]
    );
    let layer = "/cvmfs/software.eessi.io/versions/2025.06-001/compat/linux/x86_64";
    assert_eq!(shown(eessi.path()), [format!("{layer}/usr/bin"), format!("{layer}/bin")]);
}

/// EESSI's own init is the oracle, on a machine that has EESSI.
#[test]
fn variables_are_those_that_a_real_init_exports() {
    let init = Path::new("/cvmfs/software.eessi.io/versions/2023.06/init/bash");
    if !init.is_file() {
        eprintln!("skipped: no EESSI at {}", init.display());
        return;
    }
    let script = format!("source {} >/dev/null && env -0", init.display());
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let real: Variables = output
        .split('\0')
        .filter_map(|row| row.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let eessi = detect(&real);
    let mut ours = eessi.variables();
    let join = |paths: Vec<PathBuf>| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
    };
    ours.insert("MODULEPATH".to_owned(), join(eessi.modulepath()));
    ours.insert("PATH".to_owned(), format!("{}:/usr/bin:/bin", join(eessi.path())));
    let lmods_own = ["LMOD_CMD", "LMOD_DIR", "LMOD_PKG", "LMOD_ROOT", "LMOD_VERSION"];
    let real: Variables = real
        .into_iter()
        .filter(|(name, _)| {
            name.starts_with("EESSI_") || ours.contains_key(name) || name.starts_with("LMOD_")
        })
        .filter(|(name, _)| !lmods_own.contains(&name.as_str()) && !name.contains("SETTARG"))
        .filter(|(name, _)| name != "CURL_CA_BUNDLE")
        .collect();
    assert_eq!(ours, real);
}
