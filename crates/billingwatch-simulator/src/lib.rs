#![doc = include_str!("../README.md")]

mod billing;
mod calendar;
mod config;
mod delivery;
mod ids;
mod incidents;
mod json;
mod label;
mod merchant;
mod money;
mod objects;
mod rng;
pub mod scoring;
mod shop;
mod sign;
mod task;
mod world;

pub use config::{
    ApiShape, ConfigError, DeliveryModel, IncidentKind, IncidentPlan, MAX_DAYS, MAX_INCIDENTS,
    MerchantKind, Strength, WorldConfig,
};
pub use delivery::SimulatedEvent;
pub use label::{Label, MAX_LISTED};
pub use sign::sign;
pub use world::World;
