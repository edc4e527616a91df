/** Where the CRI plugin keeps its images. */
export const CRI_NAMESPACE = 'k8s.io'
