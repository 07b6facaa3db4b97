//! Makes cargo notice a migration that was added: the embedding macro alone does not.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
    println!("cargo:rerun-if-changed=../../migrations/postgresql");
}
