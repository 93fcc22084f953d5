//! `sekmet-fhir`, a FHIR R4 server that nobody here wrote. The variable `SEKMET` names its program.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, listening};

/// The server in a folder of its own; ended when it is dropped.
pub struct Sekmet {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Sekmet {
    /// `None`, and a line that says so, where the program is not named.
    #[allow(clippy::print_stdout)]
    pub async fn start() -> Option<Sekmet> {
        let Some(program) = std::env::var_os("SEKMET") else {
            println!("skipped: set SEKMET to the program of sekmet-fhir 0.1.1");
            return None;
        };
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let process = Command::new(program)
            .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Sekmet { process, port, _folder: folder };
        listening(port).await;
        Some(server)
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/fhir", self.port)
    }
}

impl Drop for Sekmet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
