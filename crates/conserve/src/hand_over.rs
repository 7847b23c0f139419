//! Hand-over: a process takes the listeners over from another one under load, and no click notices.

use std::path::Path;

use crate::Outcome;
use crate::driver::{End, Tally};
use crate::faults::terminate;
use crate::nemesis::Fault;
use crate::world::World;

/// Hands over to the other release and back, or twice to the same binary.
pub(crate) async fn hand_over(world: &mut World) -> Outcome<String> {
    let own = world.node.server();
    let other = world.other_server.clone().unwrap_or_else(|| own.clone());
    begin(world).await?;
    world.pause(0.3, 0.8).await;
    let remark = if world.node.hand_over(&other).await? {
        world.pause(0.3, 0.8).await;
        world.node.hand_over(&own).await?;
        "there and back".to_owned()
    } else {
        // An older release refuses the tables of a newer one, and must do so before it takes a request.
        world.pause(0.3, 0.8).await;
        world.node.hand_over(&own).await?;
        "refused by the other release, whose tables are older; handed over to the same binary".to_owned()
    };
    end(world).await?;
    Ok(remark)
}

/// Hands over from the other release, on which the world began, to the one under test, which migrates the tables.
pub(crate) async fn upgrade(world: &mut World, server: &Path) -> Outcome {
    world.driver.during(Some(Fault::HandOver));
    begin(world).await?;
    world.pause(0.5, 1.0).await;
    if !world.node.hand_over(server).await? {
        return Err("the release under test is older than --other-server, whose tables it refuses".into());
    }
    world.pause(0.3, 0.8).await;
    end(world).await?;
    world.driver.during(None);
    Ok(())
}

/// Restarts the server, without load, with listeners that stay open.
async fn begin(world: &mut World) -> Outcome {
    world.load_off().await;
    terminate(world).await;
    world.node.hold_listeners()?;
    world.node.start().await?;
    world.node.open().await?;
    world.load_on();
    Ok(())
}

/// Counts requests that did not succeed as complaints, and restarts the server, without load, with its own listeners.
async fn end(world: &mut World) -> Outcome {
    world.load_off().await;
    let record = world.driver.record();
    let of = |tally: Option<&Tally>| tally.cloned().unwrap_or_default();
    let clicks = of(record.clicks.get(&Some(Fault::HandOver)));
    let postbacks = of(record.postbacks.get(&Some(Fault::HandOver)));
    for (kind, tally) in [("clicks", clicks), ("postbacks", postbacks)] {
        let failed: Vec<_> = tally.ends.iter().filter(|(end, _)| **end != End::Acked).collect();
        if !failed.is_empty() {
            world
                .complaints
                .push(format!("{kind} failed during a hand-over: {failed:?}"));
        }
    }
    terminate(world).await;
    world.node.release_listeners();
    world.node.start().await?;
    world.node.open().await?;
    world.load_on();
    Ok(())
}
