//! What a simulator received, and with what status it answered. Kept within bounds: a simulator may run for weeks.

use std::collections::VecDeque;

use super::Recorded;

/// The most requests that are kept, and the most bytes of their bodies.
const MOST: usize = 5_000;
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The requests, oldest first.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Log {
    entries: VecDeque<(Recorded, Option<u16>)>,
    bytes: usize,
    /// How many have been dropped from the front, so that numbers stay the same.
    dropped: usize,
}

impl Log {
    /// Writes a request down; its number.
    pub(in crate::simulator) fn receive(&mut self, request: &Recorded) -> usize {
        self.bytes += request.body.len();
        self.entries.push_back((request.clone(), None));
        while self.entries.len() > MOST || self.bytes > MOST_BYTES {
            let Some((dropped, _)) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= dropped.body.len();
            self.dropped += 1;
        }
        (self.dropped + self.entries.len()).saturating_sub(1)
    }

    /// Writes down how a request was answered.
    pub(in crate::simulator) fn answered(&mut self, number: usize, status: u16) {
        let position = number.checked_sub(self.dropped);
        if let Some((_, answer)) = position.and_then(|position| self.entries.get_mut(position)) {
            *answer = Some(status);
        }
    }

    /// Every request.
    pub(in crate::simulator) fn requests(&self) -> Vec<Recorded> {
        let requests = self.entries.iter().map(|(request, _)| request);
        requests.cloned().collect()
    }

    /// The last ones with the status of their answers, latest first.
    pub(in crate::simulator) fn last(&self, count: usize) -> Vec<(Recorded, Option<u16>)> {
        self.entries.iter().rev().take(count).cloned().collect()
    }

    /// Forgets all.
    pub(in crate::simulator) fn clear(&mut self) {
        self.dropped += self.entries.len();
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, MOST, MOST_BYTES};
    use crate::simulator::wire::Recorded;

    #[test]
    fn the_oldest_requests_go_when_there_are_too_many_or_too_long_ones() {
        let mut log = Log::default();
        let numbers: Vec<usize> = (0..MOST + 3)
            .map(|_| log.receive(&Recorded::default()))
            .collect();
        assert_eq!(log.requests().len(), MOST);
        log.answered(numbers[0], 200);
        log.answered(numbers[MOST + 2], 404);
        let last = log.last(2);
        assert_eq!((last[0].1, last[1].1), (Some(404), None));

        let big = Recorded {
            body: "x".repeat(MOST_BYTES / 2),
            ..Recorded::default()
        };
        let third = [(); 3].map(|()| log.receive(&big))[2];
        assert_eq!(log.requests().len(), 2);
        log.answered(third, 413);
        assert_eq!(log.last(1)[0].1, Some(413));
        log.clear();
        let next = log.receive(&big);
        log.answered(next, 200);
        assert_eq!(log.last(1)[0].1, Some(200));
    }
}
