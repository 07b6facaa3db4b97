//! Where alerts are never posted: addresses that are no receiver, but this machine's cloud.
//!
//! An address in the configuration is an operator's word, and operators alert to hosts inside their
//! own network: private addresses are allowed. Link-local ones are not, for there the cloud's
//! metadata service hands out credentials, and a name may lead there today that did not yesterday.
//! So what is checked is the address that is about to be connected to, after the look-up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Names by which clouds call their metadata service.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Metadata services outside the link-local ranges: Alibaba Cloud, Oracle Cloud, Azure's host
/// agent; and over IPv6 AWS and Google Cloud, each by its own documentation.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The target's address is one that nothing is posted to.
#[derive(Debug)]
pub(crate) struct OffLimits;

impl fmt::Display for OffLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the host's address is link-local or a cloud's metadata service, where nothing is posted",
        )
    }
}

impl std::error::Error for OffLimits {}

/// Looks names up, and refuses those that lead where nothing is posted.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    inner: DefaultResolver,
    /// The operator named this very host.
    is_allowed: bool,
}

impl GuardedResolver {
    pub(crate) fn new(is_allowed: bool) -> Self {
        Self {
            inner: DefaultResolver::default(),
            is_allowed,
        }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // One bad address among good ones is what a rebinding name looks like.
        if !self.is_allowed && found.iter().any(|address| is_off_limits(address.ip())) {
            return Err(ureq::Error::Other(Box::new(OffLimits)));
        }
        Ok(found)
    }
}

/// Whether a host in a URL is off limits by its very name, before any look-up.
pub(crate) fn is_host_off_limits(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.trim_end_matches('.');
    let mut names = METADATA_NAMES.iter();
    names.any(|name| bare.eq_ignore_ascii_case(name)) || bare.parse().is_ok_and(is_off_limits)
}

fn is_off_limits(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_off_limits_v4(address),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || METADATA_V6.contains(&address)
                || embedded(address).is_some_and(is_off_limits_v4)
        }
    }
}

fn is_off_limits_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA_V4.contains(&address)
}

/// The IPv4 address that an IPv6 one leads to: mapped (RFC 4291), translated (RFC 6052) or tunnelled
/// (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            from(high, low)
        }
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A name may lead elsewhere at each look-up: what is connected to is what is judged.
    #[test]
    fn a_look_up_is_judged_by_where_it_leads() {
        let lookup = |url: &str, is_allowed| {
            let config = ureq::Agent::config_builder().build();
            let timeout = NextTimeout {
                after: ureq::unversioned::transport::time::Duration::NotHappening,
                reason: ureq::Timeout::Global,
                ..NextTimeout::default()
            };
            let resolver = GuardedResolver::new(is_allowed);
            resolver.resolve(&url.parse().unwrap(), &config, timeout)
        };
        let error = lookup("http://169.254.169.254/", false).unwrap_err();
        assert!(
            matches!(&error, ureq::Error::Other(inner) if inner.is::<OffLimits>()),
            "{error}"
        );
        assert!(lookup("http://169.254.169.254/", true).is_ok());
        assert!(lookup("http://127.0.0.1:9/", false).is_ok());
    }

    #[test]
    fn clouds_and_links_are_off_limits_and_private_networks_are_not() {
        for host in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[fe80::1]",
            "[febf::1]",
            "[::]",
            "[ff02::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
            "instance-data",
        ] {
            assert!(is_host_off_limits(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "203.0.113.9",
            "[::1]",
            "[fd12:3456::1]",
            "[2001:db8::1]",
            "[::ffff:10.0.0.1]",
            "receiver",
            "metadata.example.com",
            "hooks.slack.com",
        ] {
            assert!(!is_host_off_limits(host), "{host}");
        }
    }
}
