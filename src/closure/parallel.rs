//! Many small waits at once. File systems of a cluster answer each question late, and many
//! questions at a time; so there are more threads than cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::base::{Interrupt, Interrupted};

/// Threads that wait for the file system.
const THREADS: usize = 16;

/// Items for which one more thread is worth its start.
const ITEMS_PER_THREAD: usize = 8;

/// Applies `work` to each of `items`; the results stand in the order of the items.
///
/// # Errors
/// [`Interrupted`] once the work is asked to stop.
pub fn map<T: Sync, R: Send>(
    items: &[T],
    interrupt: &Interrupt,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, Interrupted> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match items.get(index) {
                Some(item) if !interrupt.is_set() => results.push((index, work(item))),
                _ => return results,
            }
        }
    };
    let threads = (items.len() / ITEMS_PER_THREAD).min(THREADS);
    let mut results = if threads < 2 {
        take()
    } else {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
            let joined = workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.flatten().collect()
        })
    };
    interrupt.check()?;
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = map(&items, &Interrupt::default(), |item| item * 2).unwrap();
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_interrupt_ends_the_work() {
        let interrupt = Interrupt::default();
        let items: Vec<u32> = (0..1000).collect();
        assert!(map(&items, &interrupt, |_| interrupt.set()).is_err());
    }
}
