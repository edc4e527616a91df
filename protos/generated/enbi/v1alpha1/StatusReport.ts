// Original file: enbi.proto

import type { Shim as _enbi_v1alpha1_Shim, Shim__Output as _enbi_v1alpha1_Shim__Output } from '../../enbi/v1alpha1/Shim.ts';
import type { Run as _enbi_v1alpha1_Run, Run__Output as _enbi_v1alpha1_Run__Output } from '../../enbi/v1alpha1/Run.ts';
import type { Result as _enbi_v1alpha1_Result, Result__Output as _enbi_v1alpha1_Result__Output } from '../../enbi/v1alpha1/Result.ts';
import type { KeptImage as _enbi_v1alpha1_KeptImage, KeptImage__Output as _enbi_v1alpha1_KeptImage__Output } from '../../enbi/v1alpha1/KeptImage.ts';
import type { Disk as _enbi_v1alpha1_Disk, Disk__Output as _enbi_v1alpha1_Disk__Output } from '../../enbi/v1alpha1/Disk.ts';

export interface StatusReport {
  'shim'?: (_enbi_v1alpha1_Shim | null);
  'runs'?: (_enbi_v1alpha1_Run)[];
  'queue'?: (_enbi_v1alpha1_Run)[];
  'results'?: (_enbi_v1alpha1_Result)[];
  'images'?: (_enbi_v1alpha1_KeptImage)[];
  'disk'?: (_enbi_v1alpha1_Disk | null);
}

export interface StatusReport__Output {
  'shim': (_enbi_v1alpha1_Shim__Output | null);
  'runs': (_enbi_v1alpha1_Run__Output)[];
  'queue': (_enbi_v1alpha1_Run__Output)[];
  'results': (_enbi_v1alpha1_Result__Output)[];
  'images': (_enbi_v1alpha1_KeptImage__Output)[];
  'disk': (_enbi_v1alpha1_Disk__Output | null);
}
