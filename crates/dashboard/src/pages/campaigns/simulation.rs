//! Simulation of a campaign's integration: the form that runs it.

use actix_web::web;
use tenancy::{ChangeError, needs};
use tracking::simulation::Simulation;

use super::going_live::{State, find, render};
use crate::page::Submitted;
use crate::shell::PageResult;

/// `POST /campaigns/{id}/test/simulate`: sends a click and two orders of each goal.
pub(super) async fn run(
    Submitted(mut page, _): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let url = page.tracking_url().await?;
    let simulation = Simulation::of(&mut page.conn, &page.network, &url, &campaign, page.now).await;
    // No transaction stays open: the requests of the simulation must not wait for it.
    let frame = page.commit().await?;
    let state = match simulation {
        Ok(simulation) => State {
            steps: simulation.run(&frame.request.dashboard.tracker).await,
            ..State::default()
        },
        Err(ChangeError::Conflict(problem)) => State {
            problem,
            ..State::default()
        },
        Err(error) => return Err(error.into()),
    };
    render(frame.reopen().await?, campaign, state).await
}
