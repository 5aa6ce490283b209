//! The cost analysis: prices, analyses, rules, and the report.

pub mod analysis;
pub mod anomaly;
pub mod chart;
pub mod display;
pub mod facts;
pub mod forecast;
pub mod ladder;
pub mod markdown;
pub mod measure;
pub mod prices;
pub mod report;
pub mod result_cache;
pub mod rules;
pub mod statistics;
pub mod thresholds;
pub mod triage;
