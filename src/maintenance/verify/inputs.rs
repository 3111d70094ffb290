//! Files of kept inputs against their rows.

use super::Findings;
use super::defect::DefectKind;
use crate::engine::inputs::rows::FileState;
use crate::engine::inputs::{path_of, read, rows};
use crate::engine::maintenance_handle::MaintenanceHandle;

impl MaintenanceHandle {
    /// Reads all that the files of inputs count for.
    pub(super) fn check_inputs(&self, findings: &mut Findings) {
        let source = self.source();
        let list = || source.read(|snapshot| rows::list(snapshot, source.path()));
        let (Ok(identity), Ok(files)) = (source.identity(), list()) else {
            // The check of the tables has reported it.
            return;
        };
        let mut defects = Vec::new();
        for file in &files {
            findings.bytes = findings.bytes.saturating_add(file.1.length);
            if let Some(defect) = read::check(self.directory(), &identity, file).defect {
                defects.push((file.0, defect));
            }
        }
        if defects.is_empty() {
            return;
        }
        // The budget or retention may have removed files while they were checked.
        let now = list().unwrap_or(files);
        for (first, defect) in defects {
            let row = now.iter().find(|(known, _)| *known == first);
            if row.is_some_and(|(_, row)| row.state != FileState::Removed) {
                let path = path_of(self.directory(), first);
                findings.report(DefectKind::Input, &path, None, defect.to_string());
            }
        }
    }
}
