//! Waiting for a buffer in a tokio task, with a time limit that tokio keeps.
//!
//! The futures of this crate know no executor, so there is nothing to set up. Dropping one, as
//! `timeout` does, takes its callbacks back.

use resv_api::{Access, Resv, Timeline, Usage};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let frame = Resv::new();
    let job = Timeline::new("vcn").issue()?;
    frame.lock().reserve(1)?.add(job.fence(), Usage::Write);

    let early = tokio::time::timeout(Duration::from_millis(1), frame.wait_async(Access::Read));
    println!("while the decoder works: {:?}", early.await.ok());

    let decoder = std::thread::spawn(move || job.signal());
    println!("then: {:?}", frame.wait_async(Access::Read).await);
    decoder.join().expect("the decoder does not panic");
    Ok(())
}
