//! A plain site without a compatibility layer: `--base host`, and the demo.

use crate::common::TestEnv;

#[test]
fn the_demo_proves_its_image_by_running_it() {
    let env = TestEnv::new();
    let ran = env.run(env.module_export().args(["demo", "--keep"]).arg(env.root().join("demo")));
    assert!(ran.stderr.contains("it answers: the 3"), "{ran}");
    assert!(env.root().join("demo/demo.sif").is_file());
}
