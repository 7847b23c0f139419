//! Compiles the migrations in again when one is added: the macro that embeds them does not watch their folder.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
