//! The little that the protocol's files need of the rest of the library.

pub(crate) mod entry {
    pub(crate) mod error {
        use std::time::Duration;

        pub type Result<T, E = Error> = std::result::Result<T, E>;

        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Error {
            Closed,
            Failed,
            TimedOut {
                operation: &'static str,
                waited: Duration,
            },
        }
    }

    pub(crate) mod gap {
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum GapReason {
            QueueFull,
            Refused,
        }
    }

    pub(crate) mod ids {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct InferenceId(pub(crate) u64);

        #[derive(Clone, Copy, Debug)]
        pub(crate) struct RunId;

        impl RunId {
            pub(crate) fn first_id(self) -> u64 {
                0
            }
        }
    }
}

pub(crate) mod options {
    use std::time::Duration;

    #[derive(Clone, Copy)]
    pub(crate) enum Overflow {
        DropNewest,
        #[allow(dead_code, reason = "time does not pass in the model")]
        Block {
            timeout: Duration,
        },
    }
}
