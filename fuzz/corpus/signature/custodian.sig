isthmus-contract-signature: 1
contract: pumps
as: custodian
by: data team
key: 5cd26bd25736d358
key-kind: throw-away
at: 2026-11-23T16:19:43Z
digest: 7bf54cdedb7682723d157447a05b6bab626cd832b0d2d4ad6b901179e7af9a29
signature: 5bf4c8e08afaabee572e7e48fee0f38e324b2d2e9a8dcd65cce3728a435f763241668bcb772bd16d39cfa2e6d84e22e8f9f0d4e099ddbb79e815312d1a52ba02

isthmus-contract-terms: 1
gateway: works
contract: pumps
service: cloud
module: sparkplug
to: 127.0.0.1:1883
owner: operations
custodian: data team
purpose: energy report
classification: internal
freshness: 5000 ms
completeness: 99.5 %
retention: 
returns: 
live-first: true
tags: 3
tag: works/a	uint16	m	0	1000
tag: works/b	uint16	m	0	1000
tag: works/c	uint16	kW	0	1000
