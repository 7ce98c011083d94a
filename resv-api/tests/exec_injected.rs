//! Transactions over many objects with injected back-offs, which are a matter of the whole process.
#![cfg(feature = "inject-backoff")]

use resv_api::lock::{Algorithm, Class};
use resv_api::{Locked, Resv, Timeline, Transaction, Usage, UsageLevels};

type Object = Resv<UsageLevels, Locked>;

fn pending(object: &Object) -> usize {
    object.try_lock().expect("free").entries().len()
}

#[test]
fn l_11_injected_back_offs_change_nothing_but_the_runs() {
    let objects = (0..6).map(|_| Object::default()).collect::<Vec<_>>();
    static CLASS: Class = Class::new(Algorithm::WoundWait);
    let gfx = Timeline::new("gfx");
    resv_api::lock::inject_backoffs(Some(42));
    for _ in 0..100 {
        let job = gfx.issue().unwrap();
        Transaction::new()
            .class(&CLASS)
            .run::<_, resv_api::ReserveError>(|tx| {
                let receipts = tx.lock_all(&objects.iter().collect::<Vec<_>>())?;
                let slots: Result<Vec<_>, _> = receipts.iter().map(|it| it.reserve(1)).collect();
                for slots in &mut slots? {
                    slots.add(job.fence(), Usage::Write);
                }
                Ok(())
            })
            .unwrap();
        assert!(objects.iter().all(|object| pending(object) == 1));
        job.signal();
        drop(
            Transaction::new()
                .class(&CLASS)
                .lock_all(&objects.iter().collect::<Vec<_>>()),
        );
        assert!(objects.iter().all(|object| pending(object) == 0));
    }
    resv_api::lock::inject_backoffs(None);
    assert!(CLASS.backoffs() > 100);
}
