//! What `execute` hands to the user's shell, run for its effect on the environment.

use crate::environment::Variables;

use super::evaluator::Evaluator;

/// Variables of the shell itself.
const SHELLS_OWN: [&str; 5] = ["PWD", "OLDPWD", "SHLVL", "_", "BASH_EXECUTION_STRING"];

/// Separates what a text prints from the environment after it.
const MARK: &str = "module-export-environment";

impl Evaluator<'_> {
    /// Runs the texts of all `execute` calls, as the user's shell would after the load, and takes
    /// over what they change. A text that fails is passed over, as by that shell.
    pub(super) fn run_executes(&self) -> mlua::Result<()> {
        if !self.request.options.run_execute {
            return Ok(());
        }
        let commands = self.state.borrow().commands.clone();
        for command in commands.into_iter().filter(|command| command.function == "execute") {
            let script = "eval \"$1\"\nprintf '\\0%s\\0' \"$2\"\nexec env -0";
            let words =
                ["/bin/bash", "--noprofile", "--norc", "-c", script, "bash", &command.text, MARK];
            let output = self.run_program("execute, run", &command.text, &words, &[])?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let after =
                text.split_once(&format!("\0{MARK}\0")).map(|(_, after)| environment(after));
            if let Some(after) = after {
                self.take_over(&command.origin, &after);
            }
        }
        Ok(())
    }

    fn take_over(&self, origin: &str, after: &Variables) {
        let before = self.state.borrow_mut().environment().clone();
        let own = |name: &String| SHELLS_OWN.contains(&name.as_str());
        let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name, None));
        let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
        let set = set.map(|(name, value)| (name, Some(value.clone())));
        for (name, value) in gone.chain(set).filter(|(name, _)| !own(name)) {
            self.state.borrow_mut().set_from_shell(&self.rules, origin, name, value);
        }
    }
}

fn environment(text: &str) -> Variables {
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
