//! States that are reported when they begin and when they end, not at every occurrence.

use std::sync::{Arc, Mutex};

use ahash::AHashMap;

use super::queue::Queue;
use crate::entry::error::Error;
use crate::entry::event::Level;
use crate::entry::value::Value;
use crate::threads::rounds::FaultSink;
use crate::threads::worker::lock;

/// Number of conditions that are remembered; beyond it, new ones are reported every time.
const MOST: usize = 4_096;

/// The component of the journal's own events.
pub(crate) const COMPONENT: &str = "annals";

/// A condition: the component that met it, and its words.
type ConditionKey = (Box<str>, Box<str>);

/// The conditions that hold now, and how often each was met since it began.
pub(crate) struct Conditions {
    queue: Arc<Queue>,
    met: Mutex<AHashMap<ConditionKey, u64>>,
}

impl Conditions {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Conditions {
            queue,
            met: Mutex::default(),
        }
    }

    /// Where it is reported.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Warns of something that is no condition.
    pub(crate) fn warn(&self, message: &str, fields: Vec<(String, Value)>) {
        let message = message.to_owned();
        self.queue
            .system_event(Level::Warn, COMPONENT, message, fields);
    }

    /// Reports `condition` if it did not hold before, and counts it.
    pub(crate) fn raise(
        &self,
        level: Level,
        component: &str,
        condition: &str,
        fields: Vec<(String, Value)>,
    ) -> bool {
        let mut met = lock(&self.met);
        let key = (component.into(), condition.into());
        if let Some(times) = met.get_mut(&key) {
            *times += 1;
            return false;
        }
        if met.len() < MOST {
            met.insert(key, 1);
        }
        drop(met);
        self.queue
            .system_event(level, component, condition.to_owned(), fields);
        true
    }

    /// Reports that `condition` is over, if it held, and how often it occurred.
    pub(crate) fn clear(&self, component: &str, condition: &str) -> bool {
        let mut met = lock(&self.met);
        let Some(times) = met.remove(&(component.into(), condition.into())) else {
            return false;
        };
        drop(met);
        let times = i64::try_from(times).unwrap_or(i64::MAX);
        self.queue.system_event(
            Level::Info,
            component,
            format!("over: {condition}"),
            vec![("times".to_owned(), Value::Integer(times))],
        );
        true
    }
}

impl FaultSink for Conditions {
    fn follow_fault(&self, condition: &str, fault: Option<String>) {
        match fault {
            Some(fault) => {
                let cause = vec![("cause".to_owned(), Value::Text(fault))];
                self.raise(Level::Warn, COMPONENT, condition, cause);
            }
            None => {
                self.clear(COMPONENT, condition);
            }
        }
    }

    fn keep_panic(&self, panic: Error) {
        self.queue.note_panic(panic);
    }
}
