//! The tables as diesel sees them: one description for both backends.
//!
//! Hand-written, because a generated one would know one backend only. The parity test reads and
//! writes every column on both.

diesel::table! {
    journal_head (id) {
        id -> BigInt,
        last_seq -> BigInt,
        at_ms -> BigInt,
    }
}

diesel::table! {
    journal (seq) {
        seq -> BigInt,
        kind -> Text,
        source -> Text,
        event_id -> Nullable<Text>,
        event_type -> Text,
        object_id -> Nullable<Text>,
        customer_id -> Nullable<Text>,
        created_at -> Nullable<BigInt>,
        received_at_ms -> BigInt,
        account -> Nullable<Text>,
        livemode -> Bool,
        api_version -> Nullable<Text>,
        is_historical -> Bool,
        body -> Binary,
        codec -> SmallInt,
    }
}

diesel::table! {
    journal_usage (source) {
        source -> Text,
        events -> BigInt,
        size_bytes -> BigInt,
        passed_seq -> BigInt,
    }
}

diesel::table! {
    journal_types (event_type) {
        event_type -> Text,
        events -> BigInt,
    }
}

diesel::table! {
    cursors (name) {
        name -> Text,
        seq -> BigInt,
        at_ms -> BigInt,
    }
}

diesel::table! {
    snapshots (name, seq, at_ms) {
        name -> Text,
        seq -> BigInt,
        at_ms -> BigInt,
        bytes -> Binary,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Text,
        token -> BigInt,
        expires_at_ms -> BigInt,
    }
}

diesel::table! {
    alerts (id) {
        id -> Text,
        detector -> Text,
        source -> Text,
        account -> Nullable<Text>,
        livemode -> Bool,
        status -> Text,
        severity -> BigInt,
        revision -> BigInt,
        fired_at_ms -> BigInt,
        last_seen_at_ms -> BigInt,
        resolved_at_ms -> Nullable<BigInt>,
        alert -> Text,
        acknowledged_at_ms -> Nullable<BigInt>,
        acknowledged_by -> Nullable<Text>,
        acknowledged_note -> Nullable<Text>,
        verdict -> Nullable<Text>,
        verdict_at_ms -> Nullable<BigInt>,
        verdict_by -> Nullable<Text>,
        verdict_note -> Nullable<Text>,
    }
}

diesel::table! {
    alert_subjects (subject, alert_id) {
        subject -> Text,
        alert_id -> Text,
    }
}

diesel::table! {
    alert_history (id) {
        id -> BigInt,
        alert_id -> Text,
        kind -> Text,
        at_ms -> BigInt,
        revision -> Nullable<BigInt>,
        status -> Nullable<Text>,
        alert -> Nullable<Text>,
        actor -> Nullable<Text>,
        note -> Nullable<Text>,
        verdict -> Nullable<Text>,
    }
}

diesel::table! {
    suppressed (id) {
        id -> BigInt,
        at_ms -> BigInt,
        detector -> Text,
        source -> Text,
        account -> Nullable<Text>,
        livemode -> Bool,
        reason -> Text,
        subject -> Nullable<Text>,
        message -> Text,
    }
}

diesel::table! {
    deliveries (id) {
        id -> BigInt,
        channel -> Text,
        alert_id -> Text,
        revision -> BigInt,
        body -> Text,
        state -> Text,
        attempts -> BigInt,
        created_at_ms -> BigInt,
        due_at_ms -> BigInt,
        settled_at_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    delivery_attempts (id) {
        id -> BigInt,
        delivery_id -> BigInt,
        number -> BigInt,
        at_ms -> BigInt,
        duration_ms -> BigInt,
        outcome -> Text,
        status_code -> Nullable<BigInt>,
        detail -> Text,
    }
}

diesel::table! {
    channels (name) {
        name -> Text,
        disabled_at_ms -> Nullable<BigInt>,
        disabled_reason -> Nullable<Text>,
    }
}

diesel::table! {
    settings_overrides (detector, source) {
        detector -> Text,
        source -> Text,
        seq -> BigInt,
        changed_at_ms -> BigInt,
        change -> Text,
    }
}

diesel::table! {
    mutes (id) {
        id -> Text,
        seq -> BigInt,
        alert_id -> Text,
        detector -> Text,
        created_at_ms -> BigInt,
        until_ms -> BigInt,
        lifted_at_ms -> Nullable<BigInt>,
        lifted_by -> Nullable<Text>,
        mute -> Text,
    }
}

diesel::table! {
    tokens (id) {
        id -> BigInt,
        name -> Text,
        hash -> Text,
        role -> Text,
        created_at_ms -> BigInt,
        revoked_at_ms -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(alerts, alert_subjects, deliveries, channels);
