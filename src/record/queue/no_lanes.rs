//! Lanes where there is no shared memory: none.

use std::path::Path;

use super::channel::{Channel, Numbered};
use super::local_names::NamesLog;
use super::message::Message;
use super::ring::Tag;
use crate::engine::spool::Covered;
use crate::entry::clock::Anchor;
use crate::entry::ids::{JournalId, RunId};

/// There are none.
pub(crate) enum Lanes {}

/// Nothing takes anything from them.
pub(crate) enum Intake {}

/// See the lanes of Linux.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) anchor: Anchor,
    pub(crate) memory: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "nothing is sent")]
pub(crate) enum Sent {
    Queued,
    Stranded,
    Full,
    NoLane,
    Closed,
}

impl Lanes {
    pub(crate) fn create(
        _place: &Path,
        _journal: JournalId,
        _run: RunId,
        _capacity: usize,
        reading: Reading,
    ) -> Result<(Lanes, NamesLog), String> {
        let _ = (reading.anchor, reading.memory);
        Err("shared memory is used on Linux only".to_owned())
    }

    pub(crate) fn len(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn is_watched(&self) -> bool {
        match *self {}
    }

    pub(crate) fn note_losses(&self, _losses: [u64; 2]) {
        match *self {}
    }

    pub(crate) fn send<M: Numbered>(
        &self,
        _channel: &Channel<M>,
        _tag: Tag,
        _payload: &[u64],
    ) -> Sent {
        match *self {}
    }
}

impl Intake {
    pub(crate) fn of(lanes: &Lanes) -> Intake {
        match *lanes {}
    }

    pub(crate) fn begin_round(&mut self, _channel: &Channel<Message>) -> u64 {
        match *self {}
    }

    pub(crate) fn take_unreadable(&mut self) -> u64 {
        match *self {}
    }

    pub(crate) fn next(&mut self, _bound: u64) -> Option<Message> {
        match *self {}
    }

    pub(crate) fn waiting(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn mark_encoded(&mut self) {
        match *self {}
    }

    pub(crate) fn wants_frame(&self) -> bool {
        match *self {}
    }

    pub(crate) fn mark(&mut self, _covered: Covered) {
        match *self {}
    }

    pub(crate) fn release(&mut self) {
        match *self {}
    }

    pub(crate) fn note(&mut self, _reading: Reading) {
        match *self {}
    }

    pub(crate) fn watch(&self) -> bool {
        match *self {}
    }

    pub(crate) fn check_names(&mut self) {
        match *self {}
    }

    pub(crate) fn shortcoming(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn is_drained(&mut self) -> bool {
        match *self {}
    }

    pub(crate) fn end(&mut self) -> u64 {
        match *self {}
    }

    pub(crate) fn discard(&mut self) -> u64 {
        match *self {}
    }

    pub(crate) fn move_to_run(&mut self, _run: RunId) {
        match *self {}
    }

    pub(crate) fn remove(&self) {
        match *self {}
    }
}
